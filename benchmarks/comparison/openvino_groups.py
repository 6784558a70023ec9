#!/usr/bin/env python3
"""Times OpenVINO on the element-wise groups of bench_eltwise, at dynamic shapes, on one thread.

Usage: openvino_groups.py SECONDS GROUP/SYMBOLS ...      such as rope/B1_H12_S64
One JSON object a line: group, shape, best_us; net of a call of its Python interface, which is what adding 16 elements takes.
"""
import json, re, sys, time

import numpy as np
import openvino as ov
import openvino.opset13 as op

F = np.float32


def parameter(*dims):
    return op.parameter([d if isinstance(d, int) else -1 for d in dims], F)


def ints(*numbers):
    return np.array(numbers, np.int64)


def slice_last(x, begin, end, step=1):
    return op.slice(x, ints(begin), ints(end), ints(step), ints(-1))


def rope():
    x, cos, sin = parameter('B', 'S', 'H', 64), parameter('S', 1, 64), parameter('S', 1, 64)
    rotated = op.concat([op.negative(slice_last(x, 32, 64)), slice_last(x, 0, 32)], -1)
    return [op.add(op.multiply(x, cos), op.multiply(rotated, sin))], [x, cos, sin]


def rope_interleaved():
    x, cos, sin = parameter('B', 'S', 'H', 64), parameter('S', 1, 32), parameter('S', 1, 32)
    even, odd = slice_last(x, 0, 64, 2), slice_last(x, 1, 64, 2)
    first = op.subtract(op.multiply(even, cos), op.multiply(odd, sin))
    second = op.add(op.multiply(even, sin), op.multiply(odd, cos))
    pairs = op.concat([op.unsqueeze(first, ints(-1)), op.unsqueeze(second, ints(-1))], -1)
    return [op.reshape(pairs, op.shape_of(x), False)], [x, cos, sin]


def gated(function, gate_first):
    x = parameter('M', 3072)
    a, b = op.split(x, op.constant(np.int64(1)), 2).outputs()
    gate, value = (a, b) if gate_first else (b, a)
    return [op.multiply(function(gate), value)], [x]


def group_norm():
    x, scale, bias = parameter('B', 320, 'H', 'W'), parameter(320), parameter(320)
    return [op.swish(ov.opset12.group_normalization(x, scale, bias, 32, 1e-5))], [x, scale, bias]


def standardize(x, axes, epsilon):
    return op.mvn(x, ints(*axes), True, epsilon, 'INSIDE_SQRT')


def layer_norm_residual():
    x, r, scale, bias = parameter('M', 768), parameter('M', 768), parameter(768), parameter(768)
    total = op.add(x, r)
    return [total, op.add(op.multiply(standardize(total, [1], 1e-5), scale), bias)], [x, r, scale, bias]


def softmax_middle():
    x, y = parameter('B', 'S', 'D'), parameter('B', 'S', 'D')
    return [op.softmax(op.add(x, y), 1)], [x, y]


def mean_middle():
    x, m = parameter('B', 'S', 'D'), parameter('B', 'S', 1)
    return [op.reduce_mean(op.multiply(x, m), ints(1), True)], [x, m]


def channel_norm():
    x, scale, bias = parameter('B', 'C', 'H', 'W'), parameter('C', 1, 1), parameter('C', 1, 1)
    centred = op.subtract(x, op.reduce_mean(x, ints(1), True))
    variance = op.reduce_mean(op.multiply(centred, centred), ints(1), True)
    normal = op.divide(centred, op.sqrt(op.add(variance, F(1e-6))))
    return [op.add(op.multiply(normal, scale), bias)], [x, scale, bias]


def broadcast_at_call():
    x, y, z = parameter('M', 'N'), parameter('M', 'P'), parameter('M', 'P')
    return [op.relu(op.add(op.multiply(x, y), z))], [x, y, z]


def transposed():
    x, y = parameter('B', 'N', 'M'), parameter('B', 'M', 'N')
    return [op.relu(op.add(op.transpose(x, op.constant([0, 2, 1])), y))], [x, y]


def rows():
    x, y, b = parameter('M', 'N'), parameter('M', 'N'), parameter('N')
    return [op.relu(op.multiply(op.add(x, y), b))], [x, y, b]


def rows_softmax():
    x, y = parameter('M', 'N'), parameter('M', 'N')
    return [op.softmax(op.add(x, y), 1)], [x, y]


# By the names of bench_eltwise; with the dimensions of the inputs.
GROUPS = {
    'rope': (rope, ['B S H 64', 'S 1 64', 'S 1 64']),
    'rope_interleaved': (rope_interleaved, ['B S H 64', 'S 1 32', 'S 1 32']),
    'swiglu_split': (lambda: gated(op.swish, True), ['M 3072']),
    'geglu_split': (lambda: gated(lambda x: op.gelu(x, 'ERF'), False), ['M 3072']),
    'group_norm': (group_norm, ['B 320 H W', '320', '320']),
    'layer_norm_residual': (layer_norm_residual, ['M 768', 'M 768', '768', '768']),
    'softmax_middle': (softmax_middle, ['B S D', 'B S D']),
    'mean_middle': (mean_middle, ['B S D', 'B S 1']),
    'channel_norm': (channel_norm, ['B C H W', 'C 1 1', 'C 1 1']),
    'broadcast_at_call': (broadcast_at_call, ['M N', 'M P', 'M P']),
    'transposed': (transposed, ['B N M', 'B M N']),
    'rows': (rows, ['M N', 'M N', 'N']),
    'rows_softmax': (rows_softmax, ['M N', 'M N']),
}


def make_call(results, parameters, arrays):
    model = ov.Model([op.result(r) for r in results], parameters, 'group')
    request = ov.Core().compile_model(model, 'CPU', {'INFERENCE_NUM_THREADS': 1, 'INFERENCE_PRECISION_HINT': 'f32'}).create_infer_request()
    tensors = [ov.Tensor(a, shared_memory=True) for a in arrays]

    def call():
        for i, t in enumerate(tensors): request.set_input_tensor(i, t)
        request.infer()
    return call


def best_us(call, seconds):
    best, end = float('inf'), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float('inf'):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def call_overhead_us(inputs, outputs, seconds):
    xs = [parameter('N') for _ in range(inputs)]
    total = xs[0]
    for x in xs[1:]: total = op.add(total, x)
    results = [op.add(total, F(i)) for i in range(outputs)]
    return best_us(make_call(results, xs, [np.zeros(16, F) for _ in xs]), seconds)


def main():
    seconds = float(sys.argv[1])
    random = np.random.default_rng(0)
    for word in sys.argv[2:]:
        name, shape = word.split('/')
        symbols = {m[1]: int(m[2]) for m in re.finditer(r'([A-Z])(\d+)', shape)}
        build, dims = GROUPS[name]
        arrays = [random.standard_normal([int(symbols.get(d, d)) for d in text.split()], dtype=F) for text in dims]
        results, parameters = build()
        time_us = best_us(make_call(results, parameters, arrays), seconds)
        less = call_overhead_us(len(parameters), len(results), seconds / 4)
        print(json.dumps(dict(group=name, shape=shape, best_us=time_us - less, call_us=less)), flush=True)


if __name__ == '__main__':
    main()
