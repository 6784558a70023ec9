"""The programs that are timed, each in a process of its own: Burin's benchmarks, the peers, the yardstick."""
import collections, functools, json, os, re, statistics, subprocess, sys

REPETITIONS = 7
# The peers' element-wise problem that is nothing but a call, and how long to time it.
SMALLEST, OVERHEAD_SECONDS = [1, 16], 0.1

Run = collections.namedtuple('Run', 'best_us median_us counters')


class CommandFailed(RuntimeError):
    pass


def output(command, env=None):
    """What the command prints."""
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode: raise CommandFailed(f'{" ".join(command)}: {done.stderr.strip() or done.returncode}')
    return done.stdout


def json_lines(command):
    return [json.loads(line) for line in output(command).splitlines() if line.startswith('{')]


def pinned(threads):
    """The words in front of a command that runs on as many cores as it has threads."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return ['taskset', '-c', ','.join(map(str, cores))]


class Tools:
    """binaries: the folder of Burin's benchmarks; peers, yardstick: scripts, or None: nothing is known of them then."""

    def __init__(self, binaries, peers, yardstick, seconds):
        self.binaries, self.peers_script, self.yardstick_script, self.seconds = binaries, peers, yardstick, seconds

    @functools.cache
    def names(self, benchmark):
        """Of the rows of bench_<benchmark>."""
        listed = output([f'{self.binaries}/bench_{benchmark}', '--benchmark_list_tests']).split()
        return [name.removesuffix('/real_time') for name in listed]

    def burin(self, benchmark, names, threads=1, isa=None):
        """Runs rows of bench_<benchmark> in turn, in random order: {name: Run}."""
        command = [*pinned(threads), f'{self.binaries}/bench_{benchmark}', '--benchmark_format=json',
                   f'--benchmark_filter=^({"|".join(map(re.escape, names))})(/real_time)?$',
                   f'--benchmark_repetitions={REPETITIONS}', f'--benchmark_min_time={self.seconds / REPETITIONS}',
                   '--benchmark_enable_random_interleaving=true']
        times, counters = collections.defaultdict(list), {}
        for row in json.loads(output(command, {**os.environ, 'BURIN_ISA': isa} if isa else None))['benchmarks']:
            if row['run_type'] != 'iteration': continue
            name = row['run_name'].removesuffix('/real_time')
            if row.get('error_occurred'): raise RuntimeError(f'{name}: {row["error_message"]}')
            times[name].append(row['real_time'] / 1e3)
            counters[name] = row
        missing = set(names) - set(times)
        if missing: raise RuntimeError(f'bench_{benchmark} does not have {", ".join(sorted(missing))}')
        return {name: Run(min(times[name]), statistics.median(times[name]), counters[name]) for name in names}

    def peers(self, *words, seconds=None):
        """What the script prints; records of peers that are not installed are left out."""
        if not self.peers_script: return []
        command = [*pinned(1), sys.executable, self.peers_script, *words, '--seconds', str(seconds or self.seconds)]
        return [record for record in json_lines(command) if 'skipped' not in record]

    def script(self, path, *words):
        """What a script of a peer prints; nothing where the peer is not installed."""
        try: return json_lines([*pinned(1), sys.executable, str(path), str(self.seconds), *words])
        except CommandFailed as error:
            if 'ModuleNotFoundError' in str(error): return []
            raise

    @functools.cached_property
    def call_overhead_us(self):
        """Of a call through a peer's Python interface."""
        return min(r['best_us'] for r in self.peers('eltwise', seconds=OVERHEAD_SECONDS) if r['shape'] == SMALLEST)

    def yardstick(self, kinds):
        if not self.yardstick_script or not kinds: return []
        return [r for r in json_lines([sys.executable, self.yardstick_script, *kinds]) if 'skipped' not in r]


class Times:
    """Best and median of what was timed in several rounds, in microseconds."""

    def __init__(self):
        self.runs = collections.defaultdict(list)

    def add(self, key, best, median):
        self.runs[key].append((best, median))

    def add_runs(self, runs):
        for name, run in runs.items(): self.add(name, run.best_us, run.median_us)

    def __contains__(self, key):
        return key in self.runs

    def best(self, key):
        return min(best for best, _ in self.runs[key]) if key in self.runs else None

    def median(self, key):
        return statistics.median(median for _, median in self.runs[key]) if key in self.runs else None
