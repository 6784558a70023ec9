"""What is paid beside the work itself: a call, a new shape, a compilation."""
from .report import number, pair
from .tools import Times

NANOSECOND, MILLISECOND = 1e-3, 1e3  # in microseconds
CALL_US = 1
CONFIGURE_US = {'never_seen': 2, 'same_again': 0.1}
COMPILE_MS = {'attention': 20, 'element-wise': 5}


class Calls:
    """A call that computes next to nothing, and the configurator."""
    NAME, TITLE = 'calls', 'Calls and new shapes'
    yardsticks = ()

    def __init__(self):
        self.times = {'call': Times(), 'configure': Times()}

    def measure(self, tools, _):
        for benchmark, times in self.times.items(): times.add_runs(tools.burin(benchmark, tools.names(benchmark), threads=2))

    def report(self, out):
        out.text('From `Invocation::run` to its return:')
        calls, shapes = self.times['call'], self.times['configure']
        out.table(['call', 'ns, best / median', 'needed'],
                  [[name.removeprefix('call/f32/'), pair(calls, name, NANOSECOND), f'{CALL_US * 1000} ns'] for name in calls.runs])
        out.text('`Invocation::rebind` at a shape that was never seen, and at the same shape again:')
        out.table(['shape', 'ns, best / median', 'needed'],
                  [[name.removeprefix('configure/f32/'), pair(shapes, name, NANOSECOND),
                    f'{CONFIGURE_US[name.split("/")[-1]] * 1000:.0f} ns'] for name in shapes.runs])


class Compile:
    """From a graph to machine code."""
    NAME, TITLE = 'compile', 'Compile time and code size'
    yardsticks = ()

    def __init__(self):
        self.times, self.code_bytes = Times(), {}

    def measure(self, tools, _):
        runs = tools.burin('compile', tools.names('compile'))
        self.times.add_runs(runs)
        self.code_bytes = {name: run.counters['code_bytes'] for name, run in runs.items()}

    def report(self, out):
        kind = lambda name: 'attention' if 'attention' in name else 'element-wise'
        out.table(['subgraph', 'ms, best / median', 'needed', 'code kB'],
                  [[name.removeprefix('compile/f32/'), pair(self.times, name, MILLISECOND), f'{COMPILE_MS[kind(name)]} ms',
                    number(bytes_ / 1000, 1)] for name, bytes_ in self.code_bytes.items()])
