#!/usr/bin/env bash
# Fetches ONNX Runtime's C headers into a folder, out of Debian's package libonnxruntime-dev. Nothing
# is installed, and nothing on the system changes: package lists and the package stay in that folder,
# and are removed when the headers are there.
#
#   cmake/fetch-onnxruntime-headers.sh FOLDER MINIMUM     e.g. build/release/onnxruntime 1.24
#
# The headers lie in FOLDER/include then. The package comes from the first of Debian's suites that has
# it in MINIMUM or newer, through the mirror that this system already uses; releases of Debian have an
# older one, or one without the headers for plugins.

set -euo pipefail

suites=(trixie-backports forky sid experimental)
package=libonnxruntime-dev
header=onnxruntime_ep_c_api.h

die() { echo "fetch-onnxruntime-headers: $*" >&2; exit 1; }

[[ $# == 2 ]] || die "usage: $0 FOLDER MINIMUM"
command -v apt-get >/dev/null || die "needs apt-get"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
minimum=$2
[[ ! -e $folder/include/$header ]] || exit 0

# awk reads to the end below: what writes to it would fail otherwise.
# shellcheck disable=SC2016  # apt expands these, not the shell
mirror=$(apt-get indextargets --format '$(IDENTIFIER) $(COMPONENT) $(LABEL) $(REPO_URI)' |
           awk '$1 == "Packages" && $2 == "main" && $3 == "Debian" && !found { print $4; found = 1 }') || mirror=
[[ -n $mirror ]] || die "this system's apt sources have no Debian main archive"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ ! -e $keyring ]] || signed_by="[signed-by=$keyring] "

work=$folder/apt
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial"

# apt with sources and lists of its own.
apt=(-q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
     -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
     -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
     -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::http::Timeout=20)

for suite in "${suites[@]}"; do
  echo "deb ${signed_by:-}$mirror $suite main" >"$work/sources.list"
  apt-get "${apt[@]}" update >"$work/log" 2>&1 || continue
  version=$(apt-cache "${apt[@]}" madison "$package" | awk 'NR == 1 { print $3 }')
  [[ -n $version ]] && dpkg --compare-versions "$version" ge "$minimum" || continue
  (cd "$work" && apt-get "${apt[@]}" download "$package=$version" >"$work/log" 2>&1) || continue
  dpkg -x "$work"/"$package"_*.deb "$work/package"
  found=$(find "$work/package" -name "$header" -print -quit)
  [[ -n $found ]] || continue
  mkdir -p "$folder/include"
  cp "$(dirname "$found")"/onnxruntime*c_api.h "$(dirname "$found")"/onnxruntime*keys.h "$folder/include"
  echo "fetch-onnxruntime-headers: $package $version from $suite" >&2
  exit 0
done
die "no suite of Debian that can be reached has $package $minimum or newer (tried: ${suites[*]}):" \
    "$(tail -n 1 "$work/log")"
