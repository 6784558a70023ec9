#!/usr/bin/env python3
"""Whole models: Burin with and without carving beside ONNX Runtime and OpenVINO, as Markdown tables.

Usage: models.py --models FOLDER --bin build/release/bin [--threads 1 2] [--only NAME ...] [--seconds 2]
FOLDER/models.json lists the models: name, file, inputs (name, dtype, dims, gen), bench_dims. The peers are the
packages of the interpreter that runs this script (onnxruntime, openvino, numpy); one that does not import is left out.
All times are milliseconds; a ratio above 1 means that Burin (tokenized, median) is faster. Each process is pinned to as
many cores as it has threads. For each row half of the peers' calls come before Burin's and half behind them; the peers
take turns call by call.
"""
import argparse, json, os, pathlib, re, statistics, subprocess, sys, time

from compare import lines

PEERS = ('onnxruntime', 'openvino', 'openvino-standalone')
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


# ---- tables ----

def pinned(threads):
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return ['taskset', '-c', ','.join(map(str, cores))]


def model_file(a, model):
    return str(pathlib.Path(a.models) / model['file'])


def symbols(a, model, dims):
    """Value of each symbol of the file's shapes, which an exporter may have named otherwise than models.json does."""
    out = subprocess.run([f'{a.bin}/burin', 'inspect', '--json', model_file(a, model)], capture_output=True, text=True, check=True).stdout
    values = {}
    for text in json.loads(out)['inputs']:
        name, shape = re.fullmatch(r'(.*): \w+\[(.*)\]', text).groups()
        spec = next(s for s in model['inputs'] if s['name'] == name)
        # A dimension that is an expression follows from others.
        values.update((symbol, value) for symbol, value in zip(shape.split(','), extents(spec, dims)) if symbol.isidentifier())
    return values


def burin(a, model, dims, threads):
    command = [*pinned(threads), f'{a.bin}/burin', 'bench', model_file(a, model), '--json',
               '--threads', str(threads), '--seconds', str(a.seconds)]
    for name, value in symbols(a, model, dims).items(): command += ['--dim', f'{name}={value}']
    for spec in model['inputs']: command += burin_range(spec)
    return lines(command)[0]


class Table:
    """Prints rows as they come; in the end the geometric means of the ratios."""
    HEAD = ('Model', 'Dimensions', 'Burin best / median', 'stand-alone best / median', 'speedup', 'ONNX Runtime', 'ratio',
            'OpenVINO', 'ratio', 'OpenVINO stand-alone', 'ratio')

    def __init__(self):
        self.ratios = {name: [] for name in ('speedup', *PEERS)}
        self.row(self.HEAD)
        self.row(['---'] * len(self.HEAD))

    def row(self, cells):
        print('| ' + ' | '.join(cells) + ' |', flush=True)

    def add(self, name, dims, mine, medians):
        pair = lambda mode: f'{mine[mode]["best_ms"]:.2f} / {mine[mode]["median_ms"]:.2f}'
        self.ratios['speedup'].append(mine['speedup'])
        cells = [name, ', '.join(f'{d} {v}' for d, v in dims.items()), pair('tokenized'), pair('standalone'), f'{mine["speedup"]:.2f}']
        for peer in PEERS:
            if peer in medians:
                ratio = medians[peer] / mine['tokenized']['median_ms']
                self.ratios[peer].append(ratio)
                cells += [f'{medians[peer]:.2f}', f'{ratio:.2f}']
            else:
                cells += ['-', '-']
        self.row(cells)

    def close(self):
        mean = {k: f'{statistics.geometric_mean(v):.2f}' if v else '-' for k, v in self.ratios.items()}
        self.row(['geometric mean', '', '', '', mean['speedup'], *(c for peer in PEERS for c in ('', mean[peer]))])


def measure(a, model, threads, table, notes):
    peers = Peers(a, model, threads)
    notes.update(f'{model["name"]}: {peer}: {why}' for peer, why in peers.left_out.items() if why != 'not installed')
    notes.update(f'{peer}: {why}' for peer, why in peers.left_out.items() if why == 'not installed')
    for dims in model['bench_dims']:
        label = f'{model["name"]} {dims}'
        print(f'{label}, {threads} thread(s)', file=sys.stderr)
        before = peers.time(dims, a.seconds / 2)
        try: mine = burin(a, model, dims, threads)
        except subprocess.CalledProcessError as e:
            notes.add(f'{label}: burin: {e.stderr.strip()}')
            continue
        after = peers.time(dims, a.seconds / 2)
        notes.update(f'{label}: {peer}: {why}' for peer, why in before['failed'].items())
        table.add(model['name'], dims, mine, {p: statistics.median(t + after['times'][p]) for p, t in before['times'].items()})
    peers.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('--models', '--bin'): parser.add_argument(name, required=True)
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--only', nargs='+', help='names of models')
    parser.add_argument('--seconds', type=float, default=2.0, help='of each engine for each row')
    parser.add_argument('--serve', help=argparse.SUPPRESS)
    a = parser.parse_args()
    models = {m['name']: m for m in json.loads((pathlib.Path(a.models) / 'models.json').read_text())['models']}
    if a.serve: return serve(a, models[a.serve], a.threads[0])
    unknown = set(a.only or ()) - set(models)
    if unknown: parser.error(f'--only: {", ".join(sorted(unknown))}: not in models.json')
    notes = set()
    for threads in a.threads:
        print(f'\n{threads} thread(s), milliseconds; peers: medians; ratio above 1: Burin is faster\n')
        table = Table()
        for name in a.only or models: measure(a, models[name], threads, table, notes)
        table.close()
    if notes: print('\nLeft out:\n\n' + '\n'.join(f'- {n}' for n in sorted(notes)))


if __name__ == '__main__':
    main()
