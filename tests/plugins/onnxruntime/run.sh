#!/usr/bin/env bash
# Runs a test in a virtual environment that has ONNX Runtime, which it makes, once, in WORK.
#
#   run.sh WORK python TEST.py ARGUMENT...     pytest
#   run.sh WORK program PROGRAM ARGUMENT...    with BURIN_ONNXRUNTIME_LIBRARY, the path of ONNX Runtime's shared library
#
# Exit status 77, with the reason, where there is no such environment and none can be made.

set -euo pipefail

skip() { echo "skipped: $*"; exit 77; }

work=$1 kind=$2
shift 2
python=$work/venv/bin/python
mkdir -p "$work"

make_environment() {
  local log=$work/pip.log
  rm -rf "$work/venv"
  python3 -m venv "$work/venv" >"$log" 2>&1 || { tail -n 3 "$log"; skip "python3 -m venv does not work here"; }
  "$python" -m pip install --disable-pip-version-check --no-input --timeout 20 --retries 1 \
    'onnxruntime>=1.24' onnx numpy pytest >"$log" 2>&1 ||
    { tail -n 3 "$log"; skip "pip cannot install onnxruntime, onnx, numpy and pytest: no network?"; }
  touch "$work/venv/complete"
}

exec 9>"$work/lock"
flock 9  # tests run side by side
[[ -e $work/venv/complete ]] || make_environment
flock -u 9

case $kind in
  python) exec "$python" -m pytest -q -p no:cacheprovider "$@" ;;
  program)
    library=$("$python" -c 'import pathlib, onnxruntime.capi as c
print(next(pathlib.Path(c.__path__[0]).glob("libonnxruntime.so*"), ""))')
    [[ -n $library ]] || skip "the package onnxruntime has no shared library of its own"
    BURIN_ONNXRUNTIME_LIBRARY=$library exec "$@" ;;
  *) echo "unknown kind '$kind'" >&2; exit 2 ;;
esac
