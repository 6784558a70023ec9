"""The execution provider in ONNX Runtime's Python package, against ONNX Runtime's own kernels.

BURIN_PLUGIN: the path of libburin_onnxruntime.so. BURIN_MODELS: a folder with models.json, whose models are run, too;
BURIN_SESSIONS: how many sessions of each of them are made and released, a multiple of 4 (by default 4).
"""
import ctypes, gc, json, os, pathlib, re, subprocess, sys, threading

import numpy as np
import onnxruntime as ort
import pytest

import small_models

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / 'benchmarks'))
import models as benchmark_models

PLUGIN = os.environ['BURIN_PLUGIN']
TOLERANCE = 1e-4  # of the largest magnitude
DEMO = REPOSITORY / 'tests' / 'data' / 'demo' / 'demo.onnx'


@pytest.fixture(scope='session')
def devices():
    ort.register_execution_provider_library('burin', PLUGIN)
    yield [device for device in ort.get_ep_devices() if device.ep_name == 'burin']
    gc.collect()
    ort.unregister_execution_provider_library('burin')


def session(model, devices=None, options=None, threads=2):
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    model = model if isinstance(model, bytes) else str(model)
    if devices is None: return ort.InferenceSession(model, settings, providers=['CPUExecutionProvider'])
    settings.add_provider_for_devices(devices, options or {})
    return ort.InferenceSession(model, settings)


def claimed(model, devices, folder, **options):
    """A session, and what was claimed of each graph, innermost first."""
    made = session(model, devices, {'dump': str(folder), **options})
    return made, [file.read_text() for file in sorted(folder.glob('claims_*.txt'))]


def qkv(batch, queries, keys, seed=0):
    random = np.random.default_rng(seed)
    draw = lambda *shape: random.normal(size=shape).astype(np.float32)
    return {'q': draw(batch, 4, queries, 16), 'k': draw(batch, 4, 16, keys), 'v': draw(batch, 4, keys, 16)}


def feeds_of(name, batch, queries, keys):
    feeds = qkv(batch, queries, keys)
    if name == 'expanded_mask': feeds['keys'] = (np.arange(batch * keys) % 3 == 1).astype(np.float32).reshape(batch, 1, 1, keys)
    if name == 'expanded_bias': feeds['queries'] = np.arange(batch * queries, dtype=np.float32).reshape(batch, 1, queries, 1)
    if name != 'listed_dimensions': return feeds
    flat = feeds['q'].reshape(-1, 64)
    return {'ids': np.zeros((batch, queries), np.float32), 'flat': flat}


def expect_same(expected, given):
    for want, have in zip(expected, given, strict=True):
        assert want.shape == have.shape and want.dtype == have.dtype
        finite = np.isfinite(want)
        # NaN where it is expected, and infinities with their signs.
        np.testing.assert_array_equal(np.where(finite, 0, want), np.where(np.isfinite(have), 0, have))
        want, have = want[finite], have[finite]
        if want.dtype == bool:
            np.testing.assert_array_equal(want, have)
            continue
        assert np.max(np.abs(want - have), initial=0) <= TOLERANCE * np.max(np.abs(want), initial=0)


@pytest.mark.parametrize('wrong', [[np.nan, np.inf, 1], [0, np.nan, 1], [0, -np.inf, 1], [0, 1, 1], [0, np.inf, 2], [0, np.inf, np.inf]])
def test_what_differs_is_not_the_same(wrong):
    with pytest.raises(AssertionError): expect_same([np.array([0, np.inf, 1])], [np.array(wrong)])


SHAPES = [(1, 7, 7), (2, 31, 31), (3, 128, 128), (3, 128, 128), (1, 1, 1), (2, 0, 0), (2, 0, 5), (2, 5, 0), (0, 5, 5)]


# ONNX Runtime itself has no largest of nothing, and a 0 in the list of a Reshape is another dimension.
NOT_EMPTY = {'unknown_between', 'listed_dimensions'}
AS_MANY_KEYS_AS_QUERIES = {'causal', 'listed_dimensions'}


@pytest.mark.parametrize('name, claims', [('plain', 1), ('unknown_between', 2), ('causal', 2), ('two_outputs', 1),
                                          ('expanded_mask', 1), ('expanded_bias', 1), ('listed_dimensions', 1)])
def test_small_model(devices, tmp_path, name, claims):
    model = getattr(small_models, name)()
    with_burin, texts = claimed(model, devices, tmp_path)
    assert texts[0].count('(sdpa') == claims, texts[0]
    alone = session(model)
    for batch, queries, keys in SHAPES:
        if 0 in (batch, queries, keys) and name in NOT_EMPTY: continue
        if queries != keys and name in AS_MANY_KEYS_AS_QUERIES: continue
        feeds = feeds_of(name, batch, queries, keys)
        expect_same(alone.run(None, feeds), with_burin.run(None, feeds))


def test_other_numbers_of_keys(devices):
    with_burin, alone = session(small_models.plain(), devices), session(small_models.plain())
    for shape in ((1, 31, 128), (4, 5, 3), (2, 1, 300)):
        feeds = qkv(*shape)
        expect_same(alone.run(None, feeds), with_burin.run(None, feeds))


def test_a_list_alone_may_change(devices):
    """The same tensor, divided otherwise."""
    with_burin, alone = session(small_models.listed_dimensions(), devices), session(small_models.listed_dimensions())
    flat = feeds_of('listed_dimensions', 2, 6, 6)['flat'][:12]
    for batch, length in ((2, 6), (3, 4), (1, 12)):
        feeds = {'ids': np.zeros((batch, length), np.float32), 'flat': flat}
        expect_same(alone.run(None, feeds), with_burin.run(None, feeds))


def test_a_list_that_is_too_short_leaves_nothing_behind(devices):
    """The call after it has the dimensions that were read until then."""
    with_burin, alone = (session(small_models.scores_by_head(), d) for d in (devices, None))

    def feeds(batch, *dims):
        q = np.random.default_rng(batch).normal(size=(batch * 4, 5, 16)).astype(np.float32)
        return {'heads': np.zeros(np.prod(dims), np.float32), 'dims': np.array(dims), 'q': q, 'k': q.transpose(0, 2, 1).copy()}
    expect_same(alone.run(None, feeds(2, 2, 4)), with_burin.run(None, feeds(2, 2, 4)))
    with pytest.raises(Exception, match='a list of dimensions is too short'):
        with_burin.run(None, feeds(6, 6))
    expect_same(alone.run(None, feeds(6, 6, 4)), with_burin.run(None, feeds(6, 6, 4)))


def test_dimensions_that_do_not_fit_are_named(devices):
    with_burin = session(small_models.plain(), devices)
    feeds = qkv(2, 9, 5)
    for _ in range(2):  # the second call has the dimensions of the first
        with pytest.raises(Exception, match="tensor 'v', dimension 2: expected T = 5, given 6"):
            with_burin.run(None, {**feeds, 'v': np.zeros((2, 4, 6, 16), np.float32)})
        expect_same(session(small_models.plain()).run(None, feeds), with_burin.run(None, feeds))


def test_branch_of_if(devices, tmp_path):
    model = small_models.inside_if()
    with_burin, texts = claimed(model, devices, tmp_path)
    assert sum(text.count('(sdpa') for text in texts) == 1, texts
    alone = session(model)
    for limit in (-np.inf, np.inf):
        feeds = {**qkv(2, 9, 5), 'limit': np.array(limit, np.float32)}
        expect_same(alone.run(None, feeds), with_burin.run(None, feeds))


def test_branches_do_not_overwrite_each_other(devices, tmp_path):
    _, texts = claimed(small_models.inside_if_and_else(), devices, tmp_path)
    assert [text.count('(sdpa') for text in texts] == [1, 1, 0], texts
    kernels = {file.name.split('.')[0] for file in tmp_path.glob('*.sdpa_0.*')}
    assert kernels == {'0', '1'}


def test_an_attribute_of_an_unknown_kind(devices, tmp_path):
    """The interface cannot tell what a type is: the other nodes of the graph are read all the same."""
    model = small_models.optional_beside()
    with_burin, texts = claimed(model, devices, tmp_path)
    assert len(texts) == 1 and texts[0].count('(sdpa') == 1, texts
    expect_same(session(model).run(None, qkv(2, 9, 5)), with_burin.run(None, qkv(2, 9, 5)))


def test_body_of_loop(devices, tmp_path):
    model = small_models.inside_loop()
    with_burin, texts = claimed(model, devices, tmp_path)
    assert sum(text.count('(sdpa') for text in texts) == 1, texts
    expect_same(session(model).run(None, qkv(2, 9, 5)), with_burin.run(None, qkv(2, 9, 5)))


def run_in_eight_threads(work):
    """work(number of the thread), in eight at once."""
    failures = []

    def guarded(number):
        try: work(number)
        except BaseException as e: failures.append(e)
    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    if failures: raise failures[0]


def test_eight_threads_on_one_session(devices):
    with_burin, alone = session(small_models.causal(), devices), session(small_models.causal())

    def work(seed):
        for i in range(40):
            length = 1 + (seed * 37 + i * 11) % 90
            feeds = qkv(1 + i % 3, length, length, seed)
            expect_same(alone.run(None, feeds), with_burin.run(None, feeds))
    run_in_eight_threads(work)


def resident_bytes():
    """Without what the allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(pathlib.Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def expect_no_growth(model, devices, feeds, count):
    """Sessions that are made, run and released, `count` in four parts."""
    def create_and_release():
        for _ in range(count // 4):
            session(model, devices).run(None, feeds)
        gc.collect()
        return resident_bytes()
    sizes = [create_and_release() for _ in range(4)]
    # What leaks grows each time; what allocators cannot give back comes and goes, up to 1.4 MiB as measured.
    growth = min(np.diff(sizes))
    assert growth < 256 << 10, f'{growth} bytes more after {count // 4} sessions: {sizes}'


def test_hundreds_of_sessions_leave_nothing(devices):
    expect_no_growth(small_models.causal(), devices, qkv(2, 64, 64), 200)


def test_demo_model(devices, tmp_path):
    with_burin, texts = claimed(DEMO, devices, tmp_path)
    assert 'sdpa' in texts[0]
    alone = session(DEMO)
    for batch, length in ((1, 7), (2, 31), (3, 64)):
        feeds = {}
        for i in alone.get_inputs():
            shape = [d if isinstance(d, int) else batch if 'batch' in d else length for d in i.shape]
            feeds[i.name] = np.ones(shape, {'tensor(int64)': np.int64, 'tensor(float)': np.float32}[i.type])
        expect_same(alone.run(None, feeds), with_burin.run(None, feeds))


# ---- options ----

@pytest.mark.parametrize('options', [{'threads': '1'}, {'threads': '3'}, {'isa': 'avx2'}, {'precision': 'f32'}])
def test_options(devices, tmp_path, options):
    feeds = qkv(2, 31, 17)
    with_burin, texts = claimed(small_models.plain(), devices, tmp_path, **options)
    assert '(sdpa' in texts[0], texts[0]
    expect_same(session(small_models.plain()).run(None, feeds), with_burin.run(None, feeds))


@pytest.mark.parametrize('options', [{'threads': '0'}, {'threads': 'many'}, {'precision': 'f8'}, {'speed': 'high'}, {'isa': 'none'}, {'isa': 'avx1024'}])
def test_wrong_options_are_named(devices, options):
    (name, value), = options.items()
    with pytest.raises(Exception, match=f"option '{name}'" + ('' if name == 'speed' else f".*given '{value}'")):
        session(small_models.plain(), devices, options)


def test_without_a_kernel_everything_runs_elsewhere(devices, tmp_path, monkeypatch):
    """An instruction set that the machine lacks: the reason is in the dump."""
    monkeypatch.setenv('BURIN_ISA', 'avx2')
    with_burin, texts = claimed(small_models.plain(), devices, tmp_path, isa='avx512')
    assert texts[0].startswith('0 of 3 nodes') and 'instruction set avx512: this machine offers avx2' in texts[0]
    expect_same(session(small_models.plain()).run(None, qkv(1, 5, 5)), with_burin.run(None, qkv(1, 5, 5)))


# ---- what the library exports ----

def test_two_functions_are_exported():
    lines = subprocess.run(['nm', '--dynamic', '--defined-only', PLUGIN], check=True, capture_output=True, text=True).stdout
    assert sorted(line.split()[-1] for line in lines.splitlines()) == ['CreateEpFactories', 'ReleaseEpFactory']


def test_protobuf_stays_out_of_the_process():
    needed = subprocess.run(['objdump', '-p', PLUGIN], check=True, capture_output=True, text=True).stdout
    assert not re.search(r'NEEDED\s+lib(protobuf|onnx|dnnl|gomp)', needed)


# ---- whole models ----

def models():
    folder = os.environ.get('BURIN_MODELS')
    if not folder: return []
    return list(benchmark_models.read_models(folder).values())


each_model = pytest.mark.parametrize('model', models(), ids=lambda model: model['name'])


def file_of(model):
    return pathlib.Path(os.environ['BURIN_MODELS']) / model['file']


def model_feeds(model, shapes):
    """Inputs of each shape."""
    for seed, dims in enumerate(shapes):
        random = np.random.default_rng(seed)
        yield {spec['name']: benchmark_models.make_input(spec, dims, random) for spec in model['inputs']}


def small_shapes(model):
    """Those of the stored sets; where none is stored, the first that is timed."""
    return [stored['dims'] for stored in model['stored_sets']] or model['bench_dims'][:1]


@each_model
def test_model(devices, tmp_path, model):
    with_burin, texts = claimed(file_of(model), devices, tmp_path)
    attentions = sum(text.count('(sdpa') for text in texts)
    assert attentions == model['attentions'], texts[0][-3000:]
    alone = session(file_of(model))
    for feeds in model_feeds(model, model['bench_dims'] + small_shapes(model)):
        expect_same(alone.run(None, feeds), with_burin.run(None, feeds))


@each_model
def test_eight_threads_on_a_model(devices, model):
    with_burin, alone = session(file_of(model), devices), session(file_of(model))
    calls = [(feeds, alone.run(None, feeds)) for feeds in model_feeds(model, small_shapes(model))]

    def work(number):
        for i in range(2 * len(calls)):
            feeds, expected = calls[(number + i) % len(calls)]
            expect_same(expected, with_burin.run(None, feeds))
    run_in_eight_threads(work)


@each_model
def test_sessions_of_a_model_leave_nothing(devices, model):
    feeds = next(model_feeds(model, small_shapes(model)))
    expect_no_growth(file_of(model), devices, feeds, int(os.environ.get('BURIN_SESSIONS', 4)))
