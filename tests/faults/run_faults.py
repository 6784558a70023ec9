#!/usr/bin/env python3
"""Applies each seeded fault to a copy of the tree, builds, runs the tests that are to notice it.

Usage: run_faults.py [--check] [--only N ...] [--markdown FILE]     (about half a minute a fault on two cores)
Exit status 1 if a fault is not caught. The copy and its build lie in build/faults.
"""
import argparse, pathlib, re, shutil, subprocess, sys, time

from faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / 'build' / 'faults'


def sh(*command, **kw):
    return subprocess.run(command, capture_output=True, text=True, **kw)


def prepare():
    """A copy of the tracked files, so that the tree itself is never touched."""
    source = COPY / 'source'
    if source.exists(): shutil.rmtree(source)
    source.mkdir(parents=True)
    files = sh('git', 'ls-files', '--cached', '--others', '--exclude-standard', cwd=ROOT, check=True).stdout.split('\n')
    for name in filter(lambda f: f and (ROOT / f).exists(), files):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    sh('cmake', '-S', str(source), '-B', str(COPY / 'build'), '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release',
       '-DBURIN_BUILD_BENCHMARKS=OFF', '-DBURIN_BUILD_TOOLS=OFF', '-DBURIN_DISCOVER_TESTS=OFF', check=True)
    return source


def build(folders):
    # A fault that the compiler rejects counts as not seeded: the table is then wrong.
    return sh('ninja', '-C', str(COPY / 'build'), *(f'test_{f}' for f in folders))


def first_failure(folders):
    for folder in folders:
        try:
            run = sh(str(COPY / 'build' / 'bin' / f'test_{folder}'), '--gtest_brief=1', timeout=240)
        except subprocess.TimeoutExpired:
            return f'{folder} (does not end)'
        if run.returncode != 0:
            named = re.search(r'\[  FAILED  \] (\S+)', run.stdout)
            return f'{folder}: {named.group(1)}' if named else f'{folder} (crash, status {run.returncode})'
    return None


def misplaced():
    """Faults whose text does not stand in its file exactly once."""
    times = [(number, name, file, (ROOT / file).read_text().count(sound)) for number, (name, file, sound, _, _) in enumerate(FAULTS, 1)]
    return [f'fault {number} ({name}): its text stands {n} times in {file}' for number, name, file, n in times if n != 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', type=int, nargs='*')
    parser.add_argument('--markdown')
    parser.add_argument('--check', action='store_true', help='only say whether each fault finds its text')
    arguments = parser.parse_args()
    if wrong := misplaced(): sys.exit('\n'.join(wrong))
    if arguments.check: return 0
    source = prepare()
    everything = sorted({folder for fault in FAULTS for folder in fault[4].split('|')})
    if build(everything).returncode != 0 or first_failure(everything):
        sys.exit('the sound tree does not pass')
    rows, missed = [], 0
    for number, (name, file, sound, faulty, tests) in enumerate(FAULTS, 1):
        if arguments.only and number not in arguments.only: continue
        path, start = source / file, time.time()
        text = path.read_text()
        path.write_text(text.replace(sound, faulty))
        folders = tests.split('|')
        made = build(folders)
        if made.returncode != 0: sys.exit(f'fault {number} ({name}) does not compile:\n{made.stdout[-2000:]}')
        caught = first_failure(folders)
        path.write_text(text)
        missed += caught is None
        rows.append((number, name, file, caught or 'NOT CAUGHT'))
        print(f'{number:2} {name}: {caught or "NOT CAUGHT"} ({time.time() - start:.0f} s)', flush=True)
    if arguments.markdown:
        lines = ['| | Fault | Where | Caught by |', '|---|---|---|---|']
        lines += [f'| {n} | {name} | `{file}` | `{caught}` |' for n, name, file, caught in rows]
        pathlib.Path(arguments.markdown).write_text('\n'.join(lines) + '\n')
    print(f'{len(rows) - missed} caught, {missed} missed')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
