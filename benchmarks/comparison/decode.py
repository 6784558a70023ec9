"""Attention of one query beside the yardstick."""
import re
from typing import NamedTuple

from .report import number, pair, ratio
from .tools import Times

# Of the yardstick, where keys and values lie in the second-level cache, and where they do not.
IN_CACHE, BEYOND = 0.7, 0.85
CACHE = '/sys/devices/system/cpu/cpu0/cache/index2/size'


class Shape(NamedTuple):
    keys: int
    heads: int
    kv_heads: int
    head_size: int

    def __str__(self):
        return f'{self.keys} keys, {self.heads} heads, {self.kv_heads} of K/V, {self.head_size}'

    def kilobytes(self):
        return 2 * 4 * self.keys * self.kv_heads * self.head_size // 1024


def cache_kilobytes():
    return int(open(CACHE).read().strip().removesuffix('K'))


class Decode:
    NAME, TITLE = 'decode', 'Attention of one query, one thread'
    yardsticks = ('decode',)

    def __init__(self):
        self.mine, self.limit, self.read, self.names = Times(), Times(), Times(), {}

    def measure(self, tools, yardstick):
        for name in tools.names('decode'):
            match = re.fullmatch(r'decode/f32/dynamic/B1_K(\d+)_H(\d+)(?:_KV(\d+))?_D(\d+)/threads:1', name)
            if not match: continue
            keys, heads, kv_heads, head_size = match.groups()
            self.names[Shape(*map(int, (keys, heads, kv_heads or heads, head_size)))] = name
        self.mine.add_runs(tools.burin('decode', list(self.names.values())))
        for r in yardstick:
            if r['kind'] != 'decode': continue
            shape = Shape(*(int(r[key]) for key in ('S', 'H', 'Hkv', 'D')))
            self.limit.add(shape, r['best_us'], r['median_us'])
            self.read.add(shape, r['read_us'], r['read_us'])

    def report(self, out):
        lines, of_limit, cache = [], {}, cache_kilobytes()
        for shape, name in self.names.items():
            mine = self.mine.best(name)
            of_limit[shape] = ratio(self.limit.best(shape), mine)
            lines.append([str(shape), pair(self.mine, name), pair(self.limit, shape), number(of_limit[shape]),
                          str(IN_CACHE if shape.kilobytes() <= cache else BEYOND), number(self.read.best(shape), 1)])
        out.table(['problem', 'Burin us, best / median', 'yardstick us', 'of the yardstick', 'needed', 'a plain read us'], lines)
        known = {shape: r for shape, r in of_limit.items() if r is not None}
        out.bars(self.NAME, 'Attention of one query', 'of the yardstick', list(map(str, known)), {'Burin': list(known.values())})
