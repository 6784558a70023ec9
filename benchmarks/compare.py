#!/usr/bin/env python3
"""Burin beside a peer on the same work, in the same minutes: a Markdown table of best times and ratios.

Usage: compare.py --bin build/release/bin --peers PEERS.py --python V/bin/python [--threads 1] [--seconds 1]
PEERS.py is a script that times the peers (one JSON object a line: peer, shape, best_us, median_us; sub-commands
`sdpa --mask M --shape B,S,H,D` and `eltwise`). A peer's call overhead is what its smallest element-wise problem takes.
A ratio above 1 means that Burin is faster.
"""
import argparse, json, re, statistics, subprocess

SDPA_SHAPES = [(1, 128, 12, 64), (1, 384, 12, 64), (1, 1024, 10, 64)]
ELTWISE_SHAPES = [(64, 768), (1024, 3072)]
ROUNDS = 3


def lines(command):
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith('{')]


def burin(binary, name, seconds):
    """Best and median microseconds of one benchmark: of its repetitions."""
    out = subprocess.run(['taskset', '-c', '0', binary, f'--benchmark_filter=^{re.escape(name)}/', '--benchmark_format=json',
                          '--benchmark_repetitions=7', f'--benchmark_min_time={seconds / 7}'], capture_output=True, text=True, check=True).stdout
    runs = [b['real_time'] / 1e3 for b in json.loads(out)['benchmarks'] if b['run_type'] == 'iteration']
    return min(runs), statistics.median(runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('--bin', '--peers', '--python'): parser.add_argument(name, required=True)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=1.0)
    a = parser.parse_args()
    peer = lambda *words: lines(['taskset', '-c', '0', a.python, a.peers, *words, '--threads', str(a.threads), '--seconds', str(a.seconds)])
    small = [r for r in peer('eltwise') if r['shape'] == [1, 16]]
    overhead = {r['kind']: r['best_us'] for r in small}
    call = min(overhead.values())
    print(f'Peer: openvino, net of a call overhead of {call:.0f} us (element-wise: of each chain at 1 x 16).\n')
    print('| Work | Burin best / median us | Peer best / median us | Ratio of best |\n|---|---|---|---|')

    def row(work, mine, theirs, less):
        print(f'| {work} | {mine[0]:.1f} / {mine[1]:.1f} | {theirs[0] - less:.1f} / {theirs[1] - less:.1f} | {(theirs[0] - less) / mine[0]:.2f} |', flush=True)

    best = lambda pairs: (min(p[0] for p in pairs), statistics.median(p[1] for p in pairs))
    for mask in ('none', 'full'):
        for b, s, h, d in SDPA_SHAPES:
            name = f'sdpa/f32/dynamic/B{b}_S{s}_H{h}_D{d}/mask:{mask}/threads:{a.threads}'
            mine, theirs = [], []
            for _ in range(ROUNDS):
                mine.append(burin(f'{a.bin}/bench_sdpa', name, a.seconds))
                r = peer('sdpa', '--mask', mask, '--peer', 'openvino', '--shape', f'{b},{s},{h},{d}')[0]
                theirs.append((r['best_us'], r['median_us']))
            row(f'attention {b},{s},{h},{d}, mask {mask}', best(mine), best(theirs), call)
    peers_eltwise = peer('eltwise')
    for r in peers_eltwise:
        m, n = r['shape']
        if (m, n) not in ELTWISE_SHAPES: continue
        name = f'eltwise/f32/dynamic/{r["kind"]}/M{m}_N{n}/threads:1'
        row(f'{r["kind"]} {m} x {n}', burin(f'{a.bin}/bench_eltwise', name, a.seconds), (r['best_us'], r['median_us']), overhead[r['kind']])


if __name__ == '__main__':
    main()
