#!/usr/bin/env python3
"""Writes demo/ beside this script: a small BERT-like encoder and stored inputs and outputs.

The graph looks like what PyTorch's TorchScript exporter writes for BERT: each Reshape computes its
shape from the tensor that it reshapes, positions are a slice of a stored range, the mask is made from
the attention_mask input, GELU is spelled with Erf. Weights come from a seed. The outputs are
computed by ONNX Runtime. Needs the packages onnx, onnxruntime and numpy; run it again only to change
the model, as its results are part of the repository.
"""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SEED = 20261122
LAYERS, HIDDEN, HEADS, FEED_FORWARD, VOCABULARY, POSITIONS = 2, 64, 4, 256, 200, 256
HEAD_SIZE = HIDDEN // HEADS
SETS = [(1, 7), (2, 31), (1, 128)]  # batch, seq


class Builder:
    """Collects nodes and initializers; each value is called after the node that makes it."""

    def __init__(self):
        self.nodes, self.initializers = [], []
        self.random = np.random.default_rng(SEED)

    def op(self, op_type, name, *inputs, **attributes):
        name = f'/{name}'
        output = f'{name}_output_0'
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, name, value, dtype):
        tensor = numpy_helper.from_array(np.array(value, dtype=dtype))
        return self.op('Constant', name, value=tensor)

    def weight(self, name, array):
        self.initializers.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def matrix(self, name, rows, columns):
        return self.weight(name, self.random.normal(0, 0.6 / np.sqrt(rows), (rows, columns)))

    def linear(self, name, x, rows, columns):
        bias = self.weight(f'{name}.bias', self.random.normal(0, 0.05, columns))
        product = self.op('MatMul', f'{name}/MatMul', x, self.matrix(f'{name}.weight', rows, columns))
        return self.op('Add', f'{name}/Add', bias, product)

    def layer_norm(self, name, x):
        scale = self.weight(f'{name}.weight', self.random.normal(1, 0.1, HIDDEN))
        bias = self.weight(f'{name}.bias', self.random.normal(0, 0.1, HIDDEN))
        return self.op('LayerNormalization', f'{name}/LayerNormalization', x, scale, bias, axis=-1, epsilon=1e-12)

    def size_of(self, name, x, axis):
        """Dimension `axis` of x as a list of one element."""
        shape = self.op('Shape', f'{name}/Shape', x)
        size = self.op('Gather', f'{name}/Gather', shape, self.constant(f'{name}/index', axis, np.int64), axis=0)
        return self.op('Unsqueeze', f'{name}/Unsqueeze', size, self.constant(f'{name}/axes', [0], np.int64))

    def reshape(self, name, x, tail):
        """x as [batch, seq] + tail."""
        parts = [self.size_of(f'{name}/size_{axis}', x, axis) for axis in (0, 1)]
        parts += [self.constant(f'{name}/tail_{i}', [size], np.int64) for i, size in enumerate(tail)]
        return self.op('Reshape', f'{name}/Reshape', x, self.op('Concat', f'{name}/Concat', *parts, axis=0))


def embeddings(b):
    word = b.op('Gather', 'embeddings/word', b.matrix('embeddings.word.weight', VOCABULARY, HIDDEN), 'input_ids')
    positions = b.constant('embeddings/positions', [range(POSITIONS)], np.int64)
    ids = b.op('Slice', 'embeddings/Slice', positions,
               b.constant('embeddings/start', [0], np.int64), b.size_of('embeddings/seq', 'input_ids', 1),
               b.constant('embeddings/slice_axis', [1], np.int64), b.constant('embeddings/step', [1], np.int64))
    position = b.op('Gather', 'embeddings/position', b.matrix('embeddings.position.weight', POSITIONS, HIDDEN), ids)
    return b.layer_norm('embeddings/norm', b.op('Add', 'embeddings/Add', word, position))


def additive_mask(b):
    """0 where attention_mask is 1, the lowest float where it is 0: [batch, 1, 1, seq]."""
    wide = b.op('Unsqueeze', 'mask/Unsqueeze', 'attention_mask', b.constant('mask/axes', [1, 2], np.int64))
    kept = b.op('Cast', 'mask/Cast', wide, to=TensorProto.FLOAT)
    dropped = b.op('Sub', 'mask/Sub', b.constant('mask/one', 1.0, np.float32), kept)
    return b.op('Mul', 'mask/Mul', dropped, b.constant('mask/lowest', np.finfo(np.float32).min, np.float32))


def attention(b, name, x, mask):
    def heads(part, perm):
        split = b.reshape(f'{name}/{part}', b.linear(f'{name}/{part}', x, HIDDEN, HIDDEN), [HEADS, HEAD_SIZE])
        return b.op('Transpose', f'{name}/{part}/Transpose', split, perm=perm)

    query, key, value = heads('query', [0, 2, 1, 3]), heads('key', [0, 2, 3, 1]), heads('value', [0, 2, 1, 3])
    scores = b.op('MatMul', f'{name}/MatMul', query, key)
    scores = b.op('Div', f'{name}/Div', scores, b.constant(f'{name}/divisor', np.sqrt(HEAD_SIZE), np.float32))
    scores = b.op('Add', f'{name}/Add', scores, mask)
    weights = b.op('Softmax', f'{name}/Softmax', scores, axis=-1)
    context = b.op('Transpose', f'{name}/Transpose', b.op('MatMul', f'{name}/MatMul_1', weights, value),
                   perm=[0, 2, 1, 3])
    return b.linear(f'{name}/output', b.reshape(f'{name}/context', context, [HIDDEN]), HIDDEN, HIDDEN)


def gelu(b, name, x):
    scaled = b.op('Div', f'{name}/Div', x, b.constant(f'{name}/root', np.sqrt(2.0), np.float32))
    erf = b.op('Add', f'{name}/Add', b.op('Erf', f'{name}/Erf', scaled), b.constant(f'{name}/one', 1.0, np.float32))
    return b.op('Mul', f'{name}/Mul_1', b.op('Mul', f'{name}/Mul', x, erf), b.constant(f'{name}/half', 0.5, np.float32))


def make_model():
    b = Builder()
    x = embeddings(b)
    mask = additive_mask(b)
    for i in range(LAYERS):
        name = f'layer.{i}'
        x = b.layer_norm(f'{name}/attention_norm',
                         b.op('Add', f'{name}/Add', attention(b, f'{name}/attention', x, mask), x))
        wide = gelu(b, f'{name}/gelu', b.linear(f'{name}/up', x, HIDDEN, FEED_FORWARD))
        x = b.layer_norm(f'{name}/output_norm',
                         b.op('Add', f'{name}/Add_1', b.linear(f'{name}/down', wide, FEED_FORWARD, HIDDEN), x))
    b.nodes[-1].output[0] = 'last_hidden_state'
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ['batch', 'seq']) for n in ('input_ids', 'attention_mask')]
    out = helper.make_tensor_value_info('last_hidden_state', TensorProto.FLOAT, ['batch', 'seq', HIDDEN])
    graph = helper.make_graph(b.nodes, 'demo_encoder', ids, [out], b.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8,
                              producer_name='make_demo_model.py')
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    folder = pathlib.Path(__file__).resolve().parent / 'demo'
    folder.mkdir(exist_ok=True)
    onnx.save(make_model(), folder / 'demo.onnx')
    session = onnxruntime.InferenceSession(folder / 'demo.onnx', providers=['CPUExecutionProvider'])
    random = np.random.default_rng(SEED + 1)
    for number, (batch, seq) in enumerate(SETS):
        lengths = [seq] + [int(random.integers(1, seq)) for _ in range(batch - 1)]
        inputs = {
            'input_ids': random.integers(0, VOCABULARY, (batch, seq), dtype=np.int64),
            'attention_mask': np.array([[int(i < n) for i in range(seq)] for n in lengths], dtype=np.int64),
        }
        outputs = dict(zip(['last_hidden_state'], session.run(None, inputs)))
        target = folder / f'set_{number}'
        target.mkdir(exist_ok=True)
        for kind, tensors in (('input', inputs), ('output', outputs)):
            for j, (name, array) in enumerate(tensors.items()):
                (target / f'{kind}_{j}.pb').write_bytes(numpy_helper.from_array(array, name).SerializeToString())


if __name__ == '__main__':
    main()
