"""Attention: beside yardstick and peers, masks, shapes that nothing was tuned to, threads."""
import math, re
from typing import NamedTuple

from .report import number, pair, ratio
from .tools import Times

OF_YARDSTICK = 0.88
PEER_WITH_FULL_MASK = 1.25
# Of the speed without a mask.
OF_NO_MASK = {'full': 0.85, 'head': 0.75, 'div_tanh_mul': 0.65}
CAUSAL_FROM, CAUSAL_FASTER = 384, 1.0
OF_NEAREST_SHAPE = 0.85
# So few queries leave lanes empty.
PRINTED_ONLY = (1, 7, 17, 33)
TWO_THREADS, THREADS_HEADS, THREADS_FROM = 1.85, 12, 128
PEER_NAMES = {'openvino': 'OpenVINO', 'openvino-standalone': 'OpenVINO stand-alone', 'onnxruntime': 'ONNX Runtime',
              'torch': 'PyTorch'}
MASK_NAMES = {'none': 'none', 'key': '[B, 1, 1, S]', 'full': '[B, 1, S, S]', 'head': '[B, H, S, S]', 'causal': 'causal',
              'div_tanh_mul': 'soft cap (Div, Tanh, Mul)'}


class Shape(NamedTuple):
    batch: int
    queries: int
    keys: int
    heads: int
    kv_heads: int
    head_size: int

    def __str__(self):
        text = f'{self.batch}, {self.queries}, {self.heads}, {self.head_size}'
        if self.keys != self.queries: text += f'; {self.keys} keys'
        if self.kv_heads != self.heads: text += f'; {self.kv_heads} K/V heads'
        return text

    def gflops(self, microseconds):
        work = 4 * self.batch * self.heads * self.queries * self.keys * self.head_size
        return None if microseconds is None else work / microseconds / 1e3

    def peer_words(self):
        return f'{self.batch},{self.queries},{self.heads},{self.head_size}'


def shape_of_list(dims):
    batch, sequence, heads, head_size = map(int, dims)
    return Shape(batch, sequence, sequence, heads, heads, head_size)


class Row(NamedTuple):
    """One of bench_sdpa's, dynamic shapes. variant: the mask, or the operations between the products."""
    name: str
    shape: Shape
    variant: str
    threads: int


def rows(tools):
    pattern = re.compile(r'sdpa/f32/dynamic/B(\d+)_S(\d+)(?:_K(\d+))?_H(\d+)(?:_KV(\d+))?_D(\d+)/mask:(\w+)(?:/chain:(\w+))?/threads:(\d+)')
    found = []
    for name in tools.names('sdpa'):
        if not (match := pattern.fullmatch(name)): continue
        batch, queries, keys, heads, kv_heads, head_size, mask, chain, threads = match.groups()
        shape = Shape(*map(int, (batch, queries, keys or queries, heads, kv_heads or heads, head_size)))
        found.append(Row(name, shape, chain or mask, int(threads)))
    return found


def is_table_row(row, all_rows):
    """The shapes of the table are those that have masks."""
    return any(r.shape == row.shape and r.variant == 'full' for r in all_rows)


class PeerTimes:
    """Net of the overhead of a call. `peers`: the names, in the order in which they were met."""

    def __init__(self):
        self.times, self.peers, self.less = Times(), [], 0

    def add(self, tools, records):
        if records: self.less = tools.call_overhead_us
        for r in records:
            if r['peer'] not in self.peers: self.peers.append(r['peer'])
            self.times.add((r['peer'], shape_of_list(r['shape'])), r['best_us'] - self.less, r['median_us'] - self.less)

    def note(self):
        return f'Times of the peers are net of {self.less:.1f} us for the call.'

    def head(self):
        return [*(f'{PEER_NAMES[p]} us' for p in self.peers), 'fastest peer / Burin'] if self.peers else []

    def cells(self, shape, mine):
        """Under head(); `mine`: Burin's best time."""
        if not self.peers: return []
        fastest = min((self.times.best((p, shape)) for p in self.peers if (p, shape) in self.times), default=None)
        return [*(pair(self.times, (p, shape)) for p in self.peers), number(ratio(fastest, mine))]


class Sdpa:
    """Attention without a mask beside the yardstick, and beside the peers."""
    NAME, TITLE, PLOT = 'sdpa', 'Attention, one thread', 'Attention without a mask, one thread'
    KIND, ISA, WITH_PEERS = 'f32', None, True
    yardsticks = (KIND,)

    def __init__(self):
        self.mine, self.limit, self.theirs, self.shapes = Times(), Times(), PeerTimes(), {}

    def measure(self, tools, yardstick):
        all_rows = rows(tools)
        self.shapes = {r.shape: r.name for r in all_rows if r.variant == 'none' and r.threads == 1 and is_table_row(r, all_rows)}
        self.mine.add_runs(tools.burin('sdpa', list(self.shapes.values()), isa=self.ISA))
        for r in yardstick:
            if r['kind'] != self.KIND: continue
            shape = shape_of_list(r['shape'])
            # GFLOP/s and microseconds are each other's inverse.
            self.limit.add(shape, shape.gflops(r['best_gflops']), shape.gflops(r['median_gflops']))
        if self.WITH_PEERS: self.theirs.add(tools, tools.peers('sdpa', '--mask', 'none'))

    def report(self, out):
        peers = self.theirs.peers
        lines, plot = [], {label: [] for label in ('yardstick', 'Burin', *(PEER_NAMES[p] for p in peers))}
        for shape, name in self.shapes.items():
            mine, limit = self.mine.best(name), self.limit.best(shape)
            lines.append([str(shape), pair(self.mine, name), number(shape.gflops(mine), 1), pair(self.limit, shape),
                          number(shape.gflops(limit), 1), number(ratio(limit, mine)), f'{OF_YARDSTICK}',
                          *self.theirs.cells(shape, mine)])
            best = (limit, mine, *(self.theirs.times.best((p, shape)) for p in peers))
            for values, time in zip(plot.values(), best): values.append(shape.gflops(time))
        if peers: out.text(self.theirs.note())
        out.table(['B, S, H, D', 'Burin us, best / median', 'GFLOP/s', 'yardstick us', 'GFLOP/s', 'of the yardstick', 'needed',
                   *self.theirs.head()], lines)
        out.bars(self.NAME, self.PLOT, 'GFLOP/s', list(map(str, self.shapes)), plot)


class Avx2(Sdpa):
    """Attention without a mask, with AVX2, beside the yardstick."""
    NAME, TITLE, PLOT = 'avx2', 'Attention with AVX2, one thread', 'Attention without a mask, AVX2, one thread'
    KIND, ISA, WITH_PEERS = 'avx2', 'avx2', False
    yardsticks = (KIND,)


class Masks:
    """What masks and operations between the products cost; the peers with a full mask."""
    NAME, TITLE = 'masks', 'Masks, soft cap'
    yardsticks = ()

    def __init__(self):
        self.mine, self.theirs, self.shapes = Times(), PeerTimes(), {}

    def measure(self, tools, _):
        all_rows = rows(tools)
        for r in all_rows:
            if r.threads == 1 and r.variant in MASK_NAMES and is_table_row(r, all_rows):
                self.shapes.setdefault(r.shape, {})[r.variant] = r.name
        for shape, names in self.shapes.items():
            self.mine.add_runs(tools.burin('sdpa', list(names.values())))
            self.theirs.add(tools, tools.peers('sdpa', '--mask', 'full', '--shape', shape.peer_words()))

    def needed(self, shape, variant):
        if variant == 'causal' and shape.queries >= CAUSAL_FROM: return f'> {CAUSAL_FASTER}'
        return str(OF_NO_MASK.get(variant, '-'))

    def report(self, out):
        lines, plot = [], {}
        for shape, names in self.shapes.items():
            none = self.mine.best(names['none'])
            for variant, text in MASK_NAMES.items():
                name = names.get(variant)
                mine = self.mine.best(name)
                relative = None if variant == 'none' else ratio(none, mine)
                plot.setdefault(text, []).append(relative)
                if name: lines.append([str(shape), text, pair(self.mine, name), number(shape.gflops(mine), 1), number(relative),
                                       self.needed(shape, variant)])
        out.table(['B, S, H, D', 'mask', 'Burin us, best / median', 'GFLOP/s', 'of the speed without a mask', 'needed'], lines)
        out.bars(self.NAME, 'Speed of attention with a mask', 'of the speed without a mask', list(map(str, self.shapes)), plot)
        if not self.theirs.peers: return
        out.text(f'Beside the peers, with a mask of [B, 1, S, S]. {self.theirs.note()}')
        full = {shape: names['full'] for shape, names in self.shapes.items()}
        out.table(['B, S, H, D', 'Burin us, best / median', *self.theirs.head(), 'needed'],
                  [[str(shape), pair(self.mine, name), *self.theirs.cells(shape, self.mine.best(name)), str(PEER_WITH_FULL_MASK)]
                   for shape, name in full.items()])


def distance(a, b):
    """Of two shapes, in the logarithm of the sequence length; where there are other keys than queries, of their
    geometric mean."""
    return abs(math.log(a.queries * a.keys) - math.log(b.queries * b.keys)) / 2


class Shapes:
    """Shapes that nothing was tuned to beside the nearest one of the table."""
    NAME, TITLE = 'shapes', 'Other shapes than those of the table'
    yardsticks = ()

    def __init__(self):
        self.mine, self.table, self.others = Times(), {}, {}

    def measure(self, tools, _):
        all_rows = rows(tools)
        for r in all_rows:
            if r.threads != 1 or r.variant != 'none': continue
            (self.table if is_table_row(r, all_rows) else self.others)[r.shape] = r.name
        self.mine.add_runs(tools.burin('sdpa', [*self.table.values(), *self.others.values()]))

    def report(self, out):
        speed = lambda shape, name: shape.gflops(self.mine.best(name))
        lines, plot = [], {'this shape': [], 'nearest of the table': []}
        for shape, name in self.others.items():
            nearest = min(self.table, key=lambda t: distance(t, shape))
            mine, reference = speed(shape, name), speed(nearest, self.table[nearest])
            needed = '-' if shape.queries in PRINTED_ONLY else str(OF_NEAREST_SHAPE)
            lines.append([str(shape), pair(self.mine, name), number(mine, 1), str(nearest), number(reference, 1),
                          number(mine / reference), needed])
            for label, value in zip(plot, (mine, reference)): plot[label].append(value)
        out.text('Without a mask, one thread. GFLOP/s counts 4 * B * H * queries * keys * D. The nearest shape of the table is the one '
                 'whose sequence length is nearest in the logarithm; where there are other keys than queries, their geometric '
                 'mean is the length.')
        out.table(['B, S, H, D', 'Burin us, best / median', 'GFLOP/s', 'nearest', 'its GFLOP/s', 'ratio', 'needed'], lines)
        out.bars(self.NAME, 'Shapes that nothing was tuned to', 'GFLOP/s', list(map(str, self.others)), plot)


class Threads:
    """Two threads against one."""
    NAME, TITLE = 'threads', 'Attention, two threads'
    yardsticks = ()

    def __init__(self):
        self.mine, self.shapes = Times(), {}

    def measure(self, tools, _):
        found = {}
        for r in rows(tools):
            if r.variant == 'none' and r.shape.heads == THREADS_HEADS and r.shape.queries >= THREADS_FROM:
                found.setdefault(r.shape, {})[r.threads] = r.name
        self.shapes = {shape: found[shape] for shape in sorted(found) if found[shape].keys() >= {1, 2}}
        names = [name for pair_of_names in self.shapes.values() for name in pair_of_names.values()]
        self.mine.add_runs(tools.burin('sdpa', names, threads=2))

    def report(self, out):
        faster = [self.mine.best(n[1]) / self.mine.best(n[2]) for n in self.shapes.values()]
        out.table(['B, S, H, D', 'one thread us, best / median', 'two threads us', 'times as fast', 'needed'],
                  [[str(shape), pair(self.mine, n[1]), pair(self.mine, n[2]), number(f), str(TWO_THREADS)]
                   for (shape, n), f in zip(self.shapes.items(), faster)])
        out.bars(self.NAME, 'Two threads against one', 'times as fast', list(map(str, self.shapes)), {'Burin': faster},
                 (TWO_THREADS, 'needed'))
