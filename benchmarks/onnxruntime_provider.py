#!/usr/bin/env python3
"""Whole models in ONNX Runtime, alone and with Burin as execution provider, and in OpenVINO, as Markdown tables.

Usage: onnxruntime_provider.py --models FOLDER --plugin build/release/lib/libburin_onnxruntime.so [--threads 1 2] [--only NAME ...]
       [--seconds 2] [--sequences 2000] [--clock cpu] [--claims] [--overhead]
FOLDER/models.json lists the models, as for models.py. The engines run call by call in turn, in one process for each model
and number of threads, which is pinned to as many cores; threads do not spin. Times are milliseconds, best / median; a
ratio above 1 means that ONNX Runtime with Burin is faster (best by best). `weights` is the share of ONNX Runtime's own
time that is products with constant weights: what is left bounds what fusion can gain.
Text models are also run over sequences of many lengths (normal, mean 31), each length once in each engine in turn; their
share of weights is that of the mean length.
--clock cpu times what the process computes instead of what passes: for one thread, on a machine that others use.
--claims prints what was claimed instead, --overhead what a claimed node costs beside its kernel.
"""
import argparse, json, pathlib, statistics, subprocess, sys, tempfile, time

import numpy as np

import models
from comparison.tools import pinned
from models import make_input, read_models

MEAN_LENGTH, LENGTH_DEVIATION = 31, 9
WARM_UP_CALLS, PROFILED_CALLS, FEWEST_CALLS = 3, 10, 7
# Inputs that a profile lists where the weight is a constant (which is packed, and not listed): of a Gemm, the bias, too.
PRODUCTS = {'MatMul': 1, 'FusedMatMul': 1, 'Gemm': 2, 'FusedGemm': 2}
OVERHEAD_CHAIN, OVERHEAD_CALLS = 500, 400
CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
ENGINES = {'onnxruntime': 'ONNX Runtime', 'burin': 'with Burin', 'openvino': 'OpenVINO'}


# ---- engines ----

def session_options(threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    return options


def alone(file, threads, options=None):
    import onnxruntime as ort
    return ort.InferenceSession(file, options or session_options(threads), providers=['CPUExecutionProvider'])


def with_burin(file, threads, plugin, **more):
    import onnxruntime as ort
    devices = [d for d in ort.get_ep_devices() if d.ep_name == 'burin']
    if not devices:
        ort.register_execution_provider_library('burin', str(pathlib.Path(plugin).resolve()))
        devices = [d for d in ort.get_ep_devices() if d.ep_name == 'burin']
    options = session_options(threads)
    options.add_provider_for_devices(devices, {'threads': str(threads), **more})
    return ort.InferenceSession(file, options)


def runner(session):
    return lambda feeds: lambda: session.run(None, feeds)


def load_engines(file, threads, plugin, notes):
    """{name: what makes a call of feeds}; engines that fail are left out, and noted."""
    makers = {'onnxruntime': lambda: runner(alone(file, threads)), 'burin': lambda: runner(with_burin(file, threads, plugin)),
              'openvino': lambda: models.openvino_peer(file, threads, True)}
    engines = {}
    for name, make in makers.items():
        try: engines[name] = make()
        except Exception as e: notes.append(failure(name, e))
    return engines


def failure(engine, e):
    return f'{ENGINES[engine]}: {models.reason(e)}'


# ---- what is measured ----

def feeds_of(model, dims, seed=0):
    random = np.random.default_rng(seed)
    return {spec['name']: make_input(spec, dims, random) for spec in model['inputs']}


def warm_up(engines, feeds, notes):
    """{name: a call}; engines that fail are left out, and noted."""
    calls = {}
    for name, bind in engines.items():
        try:
            call = bind(feeds)
            for _ in range(WARM_UP_CALLS): call()
            calls[name] = call
        except Exception as e: notes.append(failure(name, e))
    return calls


def time_in_turn(calls, seconds, clock):
    """Seconds of each call of each engine."""
    if not calls: return {}
    times = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or min(map(len, times.values())) < FEWEST_CALLS:
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return times


def profile(session, feeds):
    """{node: (operator, inputs that are listed, best microseconds)} of a session that profiles."""
    for _ in range(PROFILED_CALLS): session.run(None, feeds)
    file = pathlib.Path(session.end_profiling())
    nodes = {}
    for event in json.loads(file.read_text()):
        if event.get('cat') != 'Node' or not event['name'].endswith('_kernel_time'): continue
        arguments, best = event['args'], nodes.get(event['name'], (None, None, np.inf))[2]
        nodes[event['name']] = (arguments['op_name'], len(arguments['input_type_shape']), min(best, event['dur']))
    file.unlink()
    return nodes


def weights_share(file, threads, feeds):
    """The share of time in products one operand of which is a constant."""
    options = session_options(threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(pathlib.Path(tempfile.gettempdir()) / 'burin_profile')
    nodes = profile(alone(file, threads, options), feeds).values()
    return sum(us for op, inputs, us in nodes if op in PRODUCTS and inputs <= PRODUCTS[op]) / sum(us for *_, us in nodes)


def weights_cell(engines, file, threads, feeds):
    return {'weights': weights_share(file, threads, feeds)} if 'onnxruntime' in engines else {}


def lengths_of(count):
    """Sequence lengths, the same in each run."""
    random = np.random.default_rng(0)
    return np.maximum(1, np.rint(random.normal(MEAN_LENGTH, LENGTH_DEVIATION, count)).astype(int)).tolist()


def time_lengths(engines, model, lengths, clock, notes):
    """Seconds that each engine takes for all sequences."""
    first = model['bench_dims'][0]
    feeds = {length: feeds_of(model, {**first, 'seq': length}) for length in set(lengths)}
    able = warm_up(engines, feeds[lengths[0]], notes)
    engines = {name: bind for name, bind in engines.items() if name in able}
    totals = dict.fromkeys(engines, 0.0)
    for length in lengths:
        for name, bind in engines.items():
            call = bind(feeds[length])
            start = clock()
            call()
            totals[name] += clock() - start
    return totals


def is_text_model(model):
    return any(spec['gen']['kind'] == 'ids' for spec in model['inputs']) and set(model['bench_dims'][0]) == {'batch', 'seq'}


# ---- one model and number of threads: a process of its own ----

def measure(a, model, threads):
    """Prints a line of JSON for each row."""
    clock = CLOCKS[a.clock]
    file, notes = str(pathlib.Path(a.models) / model['file']), []
    engines = load_engines(file, threads, a.plugin, notes)
    for dims in model['bench_dims']:
        feeds = feeds_of(model, dims)
        times = time_in_turn(warm_up(engines, feeds, notes), a.seconds, clock)
        print(json.dumps({'dims': dims, **weights_cell(engines, file, threads, feeds), 'notes': notes,
                          'times': {name: [min(t) * 1e3, statistics.median(t) * 1e3] for name, t in times.items()}}), flush=True)
    if a.sequences and is_text_model(model):
        totals = time_lengths(engines, model, lengths_of(a.sequences), clock, notes)
        feeds = feeds_of(model, {**model['bench_dims'][0], 'seq': MEAN_LENGTH})
        print(json.dumps({'dims': {'sequences': a.sequences}, **weights_cell(engines, file, threads, feeds), 'notes': notes,
                          'times': {name: [t * 1e3 / a.sequences] * 2 for name, t in totals.items()}}), flush=True)


def rows_of(a, name, threads):
    command = [*pinned(threads), sys.executable, __file__, *sys.argv[1:], '--measure', name, '--threads', str(threads)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield from (json.loads(line) for line in process.stdout if line.startswith('{'))
    if process.wait(): print(f'{name}: exit status {process.returncode}', file=sys.stderr)


# ---- tables ----

def ratio(times, engine):
    return times[engine][0] / times['burin'][0] if engine in times and 'burin' in times else None


def cells(name, row):
    times = row['times']
    spelled = [f'{times[e][0]:.2f} / {times[e][1]:.2f}' if e in times else '-' for e in ENGINES]
    ratios = ['-' if r is None else f'{r:.2f}' for r in (ratio(times, e) for e in ('onnxruntime', 'openvino'))]
    weights = f'{row["weights"]:.0%}' if 'weights' in row else ''
    return [name, models.words(row['dims']), *spelled, *ratios, weights]


def print_tables(a, chosen):
    notes = set()
    for threads in a.threads:
        print(f'\n{threads} thread(s), milliseconds, best / median\n')
        models.print_cells(['Model', 'Dimensions', *ENGINES.values(), 'to ONNX Runtime', 'to OpenVINO', 'weights'])
        models.print_cells(['---'] * 8)
        ratios = []
        for name in chosen:
            for row in rows_of(a, name, threads):
                models.print_cells(cells(name, row))
                if (r := ratio(row['times'], 'onnxruntime')) is not None: ratios.append(r)
                notes.update(f'{name}: {note}' for note in row['notes'])
        if ratios: print(f'\nRatio to ONNX Runtime: geometric mean {statistics.geometric_mean(ratios):.2f}, lowest {min(ratios):.2f}')
    if notes: print('\nLeft out:\n\n' + '\n'.join(f'- {note}' for note in sorted(notes)))


def print_claims(a, chosen):
    for name, model in chosen.items():
        with tempfile.TemporaryDirectory() as folder:
            with_burin(str(pathlib.Path(a.models) / model['file']), 1, a.plugin, dump=folder)
            for file in sorted(pathlib.Path(folder).glob('claims_*.txt')): print(f'# {name}\n\n{file.read_text()}')


# ---- overhead ----

def chain_model(folder, length):
    """A chain of unknown operations, each behind an element-wise group that is claimed; tensors of 64 elements."""
    from onnx import TensorProto, helper, save
    nodes, last = [], 'x'
    for i in range(length):
        nodes += [helper.make_node('Mul', [last, last], [f'm{i}']), helper.make_node('Tanh', [f'm{i}'], [f't{i}']),
                  helper.make_node('CumSum', [f't{i}', 'axis'], [f'c{i}'])]
        last = f'c{i}'
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ['N', 64])
    graph = helper.make_graph(nodes, 'chain', [value('x')], [value(last)], [helper.make_tensor('axis', TensorProto.INT64, [], [1])])
    file = str(pathlib.Path(folder) / 'chain.onnx')
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8), file)
    return file


def print_overhead(a):
    length, feeds = OVERHEAD_CHAIN, {'x': np.full((1, 64), 0.5, np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        file = chain_model(folder, length)
        for threads in a.threads:
            for other in (1, 2):  # rows: the shape changes with each call, or does not
                shapes = [feeds, {'x': np.full((other, 64), 0.5, np.float32)}]
                bests = {}
                for name, session in (('alone', alone(file, threads)), ('with Burin', with_burin(file, threads, a.plugin))):
                    times = []
                    for call in range(OVERHEAD_CALLS):
                        start = time.perf_counter()
                        session.run(None, shapes[call % 2])
                        times.append(time.perf_counter() - start)
                    bests[name] = min(times) * 1e6 / length
                kind = 'the same shape again' if other == 1 else 'another shape each time'
                print(f'{threads} thread(s), {kind}: ' + ', '.join(f'{name} {us:.2f} us' for name, us in bests.items()) +
                      f' for each of {length} Mul + Tanh + CumSum of 64 elements')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('--models', '--plugin'): parser.add_argument(name, required=True)
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--only', nargs='+', help='names of models')
    parser.add_argument('--seconds', type=float, default=2.0, help='of each engine for each row')
    parser.add_argument('--sequences', type=int, default=2000, help='0: none')
    parser.add_argument('--clock', choices=CLOCKS, default='wall')
    parser.add_argument('--claims', action='store_true')
    parser.add_argument('--overhead', action='store_true')
    parser.add_argument('--measure', help=argparse.SUPPRESS)
    a = parser.parse_args()
    known = read_models(a.models)
    if a.measure: return measure(a, known[a.measure], a.threads[0])
    if a.overhead: return print_overhead(a)
    unknown = set(a.only or ()) - set(known)
    if unknown: parser.error(f'--only: {", ".join(sorted(unknown))}: not in models.json')
    chosen = {name: known[name] for name in a.only or known}
    (print_claims if a.claims else print_tables)(a, chosen)


if __name__ == '__main__':
    main()
