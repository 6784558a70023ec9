"""Element-wise chains beside the yardstick and the peer, whose shapes are static; groups at dynamic shapes."""
import pathlib, re, statistics

from .report import number, pair, ratio
from .tools import SMALLEST, Times

OF_YARDSTICK = {(64, 768): 0.8, (1024, 3072): 0.9}
PEER, PEER_MEAN = 1.0, 1.5


class Eltwise:
    NAME, TITLE = 'eltwise', 'Element-wise chains, one thread'
    yardsticks = ('eltwise',)

    def __init__(self):
        self.mine, self.limit, self.theirs, self.names = Times(), Times(), Times(), {}

    def measure(self, tools, yardstick):
        for name in tools.names('eltwise'):
            match = re.fullmatch(r'eltwise/f32/dynamic/(\w+)/M(\d+)_N(\d+)/threads:1', name)
            if not match: continue
            chain, shape = match[1], (int(match[2]), int(match[3]))
            if shape in OF_YARDSTICK: self.names[chain, shape] = name
        self.mine.add_runs(tools.burin('eltwise', list(self.names.values())))
        for r in yardstick:
            if r['kind'] == 'eltwise': self.limit.add((r['chain'], (int(r['M']), int(r['N']))), r['best_us'], r['median_us'])
        records = tools.peers('eltwise', '--static')
        call = {r['kind']: r['best_us'] for r in records if r['shape'] == SMALLEST}
        for r in records:
            less = call[r['kind']]
            self.theirs.add((r['kind'], tuple(r['shape'])), r['best_us'] - less, r['median_us'] - less)

    def report(self, out):
        lines, of_limit, of_peer = [], [], []
        for key, name in self.names.items():
            mine = self.mine.best(name)
            of_limit.append(ratio(self.limit.best(key), mine))
            of_peer.append(ratio(self.theirs.best(key), mine))
            chain, (m, n) = key
            lines.append([f'{chain} {m} x {n}', pair(self.mine, name), pair(self.limit, key), number(of_limit[-1]), str(OF_YARDSTICK[m, n]),
                          pair(self.theirs, key), number(of_peer[-1]), f'> {PEER}'])
        known = [r for r in of_peer if r is not None]
        mean = statistics.geometric_mean(known) if known else None
        lines.append(['geometric mean', '', '', '', '', '', number(mean), str(PEER_MEAN)])
        out.table(['chain', 'Burin us, best / median', 'yardstick us', 'of the yardstick', 'needed', 'OpenVINO, static, us',
                   'OpenVINO / Burin', 'needed'], lines)
        out.bars(self.NAME, 'Element-wise chains', 'ratio of best times', [line[0] for line in lines[:-1]],
                 {'yardstick / Burin': of_limit, 'OpenVINO / Burin': of_peer})


class Groups:
    """Beyond the caches beside c = a + b over as many bytes; inside of the second-level cache beside OpenVINO."""
    NAME, TITLE = 'groups', 'Element-wise groups at dynamic shapes, one thread'
    yardsticks = ()
    CACHE_BYTES, OF_ADDITION = 1 << 20, 1.15
    PEER = pathlib.Path(__file__).parent / 'openvino_groups.py'

    def __init__(self):
        self.mine, self.theirs, self.bytes, self.names = Times(), Times(), {}, {}

    def measure(self, tools, yardstick):
        rows = [n for n in tools.names('eltwise') if n.startswith('eltwise/f32/dynamic/') and '/add/' in n]
        groups = [n for n in tools.names('eltwise') if n.startswith('eltwise/f32/dynamic/') and not re.search(r'/add/|/M1_N16/|/M64_N768/|/M1024_N3072/', n)]
        for name, run in tools.burin('eltwise', rows + groups).items():
            self.mine.add(name, run.best_us, run.median_us)
            self.bytes[name] = int(run.counters['bytes'])
        self.names = {re.fullmatch(r'eltwise/f32/dynamic/(.*)/threads:1', n)[1]: n for n in groups}
        inside = [shape for shape, name in self.names.items() if self.bytes[name] <= self.CACHE_BYTES]
        for r in tools.script(self.PEER, *inside): self.theirs.add(f'{r["group"]}/{r["shape"]}', r['best_us'], r['best_us'])

    def report(self, out):
        addition = {self.bytes[n]: n for n in self.bytes if '/add/' in n}
        lines, of_peer = [], []
        for shape, name in self.names.items():
            inside = self.bytes[name] <= self.CACHE_BYTES
            mine = self.mine.best(name)
            of_addition = ratio(mine, self.mine.best(addition[self.bytes[name]]))
            peer = ratio(self.theirs.best(shape), mine) if inside else None
            of_peer += [peer] if peer else []
            lines.append([shape, 'L2' if inside else 'memory', pair(self.mine, name), number(of_addition), '' if inside else f'< {self.OF_ADDITION}',
                          pair(self.theirs, shape), number(peer)])
        mean = statistics.geometric_mean(of_peer) if of_peer else None
        lines.append(['geometric mean', '', '', '', '', '', f'{number(mean)} (needed {PEER_MEAN})'])
        out.table(['group', 'data in', 'Burin us, best / median', 'of c = a + b', 'needed', 'OpenVINO us', 'OpenVINO / Burin'], lines)
