#!/usr/bin/env python3
"""Burin beside a yardstick and its peers on the same work, in the same minutes: Markdown tables and plots.

Usage: V/bin/python compare.py --bin build/release/bin [--peers PEERS.py] [--yardstick LIMIT.py] [--models MODELS]
                               [--sections NAME ...] [--rounds 3] [--seconds 1] [--out RESULTS]

All sections are measured once a round, in turn; of the rounds the best time and the median of the medians are shown, and
ratios are those of best times. Where a figure is to be reached, it stands beside the one measured. RESULTS
receives tables.md and the plots; without --out the tables are printed only. What was measured is shown after an error, too.

Peers and yardstick run with the interpreter that runs this script; what it does not have (openvino, onnxruntime, torch;
matplotlib for the plots) is left out, and so are the columns of a script that is not given. Both scripts print one JSON
object a line:
  PEERS.py      peer, shape, best_us, median_us; sub-commands `sdpa --mask M [--shape B,S,H,D]` and `eltwise [--static]`,
                which adds kind. A call through a peer's Python interface costs what its smallest element-wise problem
                (1 x 16) takes; all times of peers are net of that.
  LIMIT.py      for the kinds it is called with: `f32`, `avx2`: shape, best_gflops, median_gflops; `eltwise`: chain, M, N,
                best_us, median_us; `decode`: S, H, Hkv, D, best_us, median_us, read_us. One thread.
  MODELS        a folder: see models.py.
"""
import argparse, datetime, importlib.metadata, re, sys

from comparison import attention, decode, elementwise, overhead, whole_models
from comparison.report import Report
from comparison.tools import Tools

# Those with a yardstick first, so that they follow it closely.
SECTIONS = (attention.Sdpa, attention.Avx2, decode.Decode, elementwise.Eltwise, elementwise.Groups, attention.Masks, attention.Shapes, attention.Threads, overhead.Calls,
            overhead.Compile, whole_models.Models)
PACKAGES = ('openvino', 'onnxruntime', 'torch')


def processor():
    match = re.search(r'model name\s*:\s*(.*)', open('/proc/cpuinfo').read())
    return match[1] if match else 'unknown processor'


def installed():
    for package in PACKAGES:
        try: yield f'{package} {importlib.metadata.version(package)}'
        except importlib.metadata.PackageNotFoundError: pass


def make_sections(a):
    """Those asked for, by default all; whole models only where there are some."""
    chosen = [s for s in SECTIONS if (s.NAME in a.sections if a.sections else s is not whole_models.Models or a.models)]
    return [s(a.models, a.bin, a.seconds, a.pairs) if s is whole_models.Models else s() for s in chosen]


def measure(sections, tools, rounds):
    kinds = [kind for s in sections for kind in s.yardsticks]
    for i in range(rounds):
        now = [s for s in sections if i < getattr(s, 'ROUNDS', rounds)]
        print(f'round {i + 1} of {rounds}: yardstick', file=sys.stderr)
        yardstick = tools.yardstick(kinds)
        for section in now:
            print(f'round {i + 1} of {rounds}: {section.NAME}', file=sys.stderr)
            section.measure(tools, yardstick)


def main():
    names = [s.NAME for s in SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', required=True, help='folder of the built benchmarks')
    for name in ('--peers', '--yardstick', '--models', '--out'): parser.add_argument(name)
    parser.add_argument('--sections', nargs='+', choices=names, metavar='NAME', help='of ' + ', '.join(names))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=1.0, help='of each engine for each row and round')
    parser.add_argument('--pairs', type=int, default=5, help='of each whole model')
    a = parser.parse_args()
    if whole_models.Models.NAME in (a.sections or ()) and not a.models: parser.error('whole models need --models')
    report, sections = Report(a.out), make_sections(a)
    report.text(f'{processor()}, {datetime.date.today()}; {", ".join(installed()) or "no peers"}; {a.rounds} rounds of {a.seconds} s.')
    try: measure(sections, Tools(a.bin, a.peers, a.yardstick, a.seconds), a.rounds)
    finally:
        for section in sections:
            report.text(f'## {section.TITLE}')
            section.report(report)
        report.write()


if __name__ == '__main__':
    main()
