#!/usr/bin/env python3
"""Whole models: Burin with and without carving beside ONNX Runtime and OpenVINO, as Markdown tables.

Usage: models.py --models FOLDER --bin build/release/bin [--threads 1 2] [--only NAME ...] [--where batch=1] [--seconds 2]
FOLDER/models.json lists the models: name, file, inputs (name, dtype, dims, gen), bench_dims. The peers are the
packages of the interpreter that runs this script (onnxruntime, openvino, numpy); one that does not import is left out.
All times are milliseconds; a ratio above 1 means that Burin (tokenized, median) is faster. Each process is pinned to as
many cores as it has threads. The peers and Burin run alternately, --pairs times, the peers among each other call by call;
a ratio is the median of those of the pairs.
"""
import argparse, json, pathlib, re, statistics, subprocess, sys, time
from typing import NamedTuple

from comparison.tools import CommandFailed, json_lines, output, pinned

PEERS = {'onnxruntime': 'ONNX Runtime', 'openvino': 'OpenVINO', 'openvino-standalone': 'OpenVINO stand-alone'}
WARM_UP_CALLS, FEWEST_CALLS = 3, 5


# ---- inputs ----

def extents(spec, dims):
    """An input's dimensions: numbers, names, sums of names."""
    return [d if isinstance(d, int) else sum(dims[part.strip()] for part in d.split('+')) for d in spec['dims']]


def make_input(spec, dims, random):
    """What models.json says of an input, as an array of the given dimensions."""
    import numpy as np
    shape, gen = extents(spec, dims), spec['gen']

    def prefix_mask():
        lengths = [shape[-1], *random.integers(1, shape[-1] + 1, shape[0] - 1)]
        return np.arange(shape[-1]) < np.array(lengths)[:, None]
    kinds = {'ids': lambda: random.integers(gen['low'], gen['high'], shape),
             'uniform': lambda: random.uniform(gen['low'], gen['high'], shape),
             'normal': lambda: random.normal(0, gen['std'], shape),
             'zeros': lambda: np.zeros(shape), 'ones': lambda: np.ones(shape), 'prefix_mask': prefix_mask}
    return np.ascontiguousarray(kinds[gen['kind']](), dtype=spec['dtype'])


def burin_range(spec):
    """The words that make `burin bench` draw an input alike; without any it makes normal floats and masks of ones."""
    gen = spec['gen']
    bounds = {'ids': lambda: (gen['low'], gen['high']), 'uniform': lambda: (gen['low'], gen['high']),
              'zeros': lambda: (0, 1), 'ones': lambda: (1, 2)}.get(gen['kind'])
    return ['--range', '{}={}:{}'.format(spec['name'], *bounds())] if bounds else []


# ---- peers: a process of their own for each model and number of threads ----

def onnxruntime_peer(file, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    session = ort.InferenceSession(file, options, providers=['CPUExecutionProvider'])
    return lambda feeds: lambda: session.run(None, feeds)


def openvino_peer(file, threads, fused):
    import openvino as ov
    config = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32'}
    if not fused: config['SNIPPETS_MODE'] = 'DISABLE'
    request = ov.Core().compile_model(file, 'CPU', config).create_infer_request()

    def bind(feeds):
        tensors = {name: ov.Tensor(array, shared_memory=True) for name, array in feeds.items()}

        def call():
            for name, tensor in tensors.items(): request.set_tensor(name, tensor)
            request.infer()
        return call
    return bind


def reason(error):
    return f'{type(error).__name__}: {(str(error).splitlines() or [""])[0]}'


def load_peers(file, threads):
    """The peers that take the model, and why the others do not."""
    loaders = {'onnxruntime': lambda: onnxruntime_peer(file, threads), 'openvino': lambda: openvino_peer(file, threads, True),
               'openvino-standalone': lambda: openvino_peer(file, threads, False)}
    peers, left_out = {}, {}
    for name in PEERS:
        try: peers[name] = loaders[name]()
        except ImportError: left_out[name] = 'not installed'
        except Exception as e: left_out[name] = reason(e)
    return peers, left_out


def time_in_turn(calls, seconds):
    """Milliseconds of each call of each peer."""
    times = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or min(map(len, times.values()), default=FEWEST_CALLS) < FEWEST_CALLS:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def first_calls(peers, model, dims):
    """Each peer's call at these dimensions, warmed up, and why others have none."""
    import numpy as np
    random = np.random.default_rng(0)
    feeds = {spec['name']: make_input(spec, dims, random) for spec in model['inputs']}
    calls, failed = {}, {}
    for name, bind in peers.items():
        try:
            call = bind(feeds)
            for _ in range(WARM_UP_CALLS): call()
            calls[name] = call
        except Exception as e: failed[name] = reason(e)
    return calls, failed


def serve(a, model, threads):
    """Answers each line of dimensions and seconds on stdin with the peers' times, as a line of JSON."""
    peers, left_out = load_peers(model_file(a, model), threads)
    print(json.dumps(left_out), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        # Without a peer nothing needs numpy either.
        calls, failed = first_calls(peers, model, request['dims']) if peers else ({}, {})
        print(json.dumps({'times': time_in_turn(calls, request['seconds']), 'failed': failed}), flush=True)


class Peers:
    """The process that serves one model's peers."""

    def __init__(self, a, model, threads):
        command = [*pinned(threads), sys.executable, __file__, '--models', a.models, '--bin', a.bin, '--serve', model['name'],
                   '--threads', str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.left_out = self.answer()

    def answer(self):
        while line := self.process.stdout.readline():
            if line.startswith('{'): return json.loads(line)  # a peer may print lines of its own
        raise RuntimeError('the process of the peers ended')

    def time(self, dims, seconds):
        self.process.stdin.write(json.dumps({'dims': dims, 'seconds': seconds}) + '\n')
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- Burin ----

def model_file(a, model):
    return str(pathlib.Path(a.models) / model['file'])


def symbols(a, model, dims):
    """Value of each symbol of the file's shapes, which an exporter may have named otherwise than models.json does."""
    values = {}
    for text in json.loads(output([f'{a.bin}/burin', 'inspect', '--json', model_file(a, model)]))['inputs']:
        name, shape = re.fullmatch(r'(.*): \w+\[(.*)\]', text).groups()
        spec = next(s for s in model['inputs'] if s['name'] == name)
        # A dimension that is an expression follows from others.
        values.update((symbol, value) for symbol, value in zip(shape.split(','), extents(spec, dims)) if symbol.isidentifier())
    return values


def burin(a, model, dims, threads, seconds):
    command = [*pinned(threads), f'{a.bin}/burin', 'bench', model_file(a, model), '--json',
               '--threads', str(threads), '--seconds', str(seconds)]
    for name, value in symbols(a, model, dims).items(): command += ['--dim', f'{name}={value}']
    for spec in model['inputs']: command += burin_range(spec)
    return json_lines(command)[0]


# ---- rows ----

class Times(NamedTuple):
    best: float
    median: float


class Row(NamedTuple):
    name: str
    dims: dict
    carved: Times
    standalone: Times
    speedup: float
    medians: dict  # of the peers
    ratios: dict  # to the peers


def times(results, mode):
    return Times(min(r[mode]['best_ms'] for r in results), statistics.median(r[mode]['median_ms'] for r in results))


def row(name, dims, mine, theirs):
    """`mine`: what Burin printed in each pair; `theirs`: the medians of each pair, by peer; None where one failed."""
    ratios = {p: statistics.median(t / m['tokenized']['median_ms'] for t, m in zip(medians, mine) if t) for p, medians in theirs.items()}
    return Row(name, dims, times(mine, 'tokenized'), times(mine, 'standalone'), statistics.median(m['speedup'] for m in mine),
               {p: statistics.median(filter(None, medians)) for p, medians in theirs.items()}, ratios)


def measure(a, model, threads, notes):
    """Yields the model's rows."""
    peers = Peers(a, model, threads)
    notes.update(f'{model["name"]}: {peer}: {why}' for peer, why in peers.left_out.items() if why != 'not installed')
    notes.update(f'{peer}: {why}' for peer, why in peers.left_out.items() if why == 'not installed')
    for dims in model['bench_dims']:
        if any(dims.get(name) != value for name, value in a.where.items()): continue
        label = f'{model["name"]} {dims}'
        print(f'{label}, {threads} thread(s)', file=sys.stderr)
        mine, theirs, seconds = [], {}, a.seconds / a.pairs
        try:
            for _ in range(a.pairs):
                answer = peers.time(dims, seconds)
                for p, t in answer['times'].items():
                    theirs.setdefault(p, [None] * len(mine)).append(statistics.median(t))
                notes.update(f'{label}: {peer}: {why}' for peer, why in answer['failed'].items())
                mine.append(burin(a, model, dims, threads, seconds))
                for medians in theirs.values(): medians += [None] * (len(mine) - len(medians))
        except CommandFailed as e:
            notes.add(f'{label}: {e}')
            continue
        yield row(model['name'], dims, mine, theirs)
    peers.close()


# ---- tables ----

HEAD = ('Model', 'Dimensions', 'Burin best / median', 'stand-alone best / median', 'speedup',
        *(head for label in PEERS.values() for head in (label, 'ratio')))


def words(dims):
    return ', '.join(f'{d} {v}' for d, v in dims.items())


def cells(r):
    peers = [f'{values[p]:.2f}' if p in values else '-' for p in PEERS for values in (r.medians, r.ratios)]
    return [r.name, words(r.dims), *(f'{t.best:.2f} / {t.median:.2f}' for t in (r.carved, r.standalone)), f'{r.speedup:.2f}', *peers]


def mean_cells(rows):
    mean = lambda ratios: f'{statistics.geometric_mean(ratios):.2f}' if ratios else '-'
    return ['geometric mean', '', '', '', mean([r.speedup for r in rows]),
            *(cell for p in PEERS for cell in ('', mean([r.ratios[p] for r in rows if p in r.ratios])))]


def print_cells(line):
    print('| ' + ' | '.join(line) + ' |', flush=True)


def read_models(folder):
    return {m['name']: m for m in json.loads((pathlib.Path(folder) / 'models.json').read_text())['models']}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('--models', '--bin'): parser.add_argument(name, required=True)
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--only', nargs='+', help='names of models')
    parser.add_argument('--where', nargs='+', default=[], help='NAME=N: only rows with these dimensions')
    parser.add_argument('--seconds', type=float, default=2.0, help='of each engine for each row')
    parser.add_argument('--pairs', type=int, default=4)
    parser.add_argument('--serve', help=argparse.SUPPRESS)
    a = parser.parse_args()
    a.where = {name: int(value) for name, value in (w.split('=') for w in a.where)}
    models = read_models(a.models)
    if a.serve: return serve(a, models[a.serve], a.threads[0])
    unknown = set(a.only or ()) - set(models)
    if unknown: parser.error(f'--only: {", ".join(sorted(unknown))}: not in models.json')
    notes = set()
    for threads in a.threads:
        print(f'\n{threads} thread(s), milliseconds; peers: medians; ratio above 1: Burin is faster\n')
        rows = []
        print_cells(HEAD)
        print_cells(['---'] * len(HEAD))
        for name in a.only or models:
            for r in measure(a, models[name], threads, notes):
                print_cells(cells(r))
                rows.append(r)
        print_cells(mean_cells(rows))
    if notes: print('\nLeft out:\n\n' + '\n'.join(f'- {n}' for n in sorted(notes)))


if __name__ == '__main__':
    main()
