"""Models that tests make: what stands around an attention, and inside of what."""
from onnx import TensorProto, helper


def tensor(name, *dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims or None)


def constant(name, values, data_type=TensorProto.FLOAT):
    return helper.make_tensor(name, data_type, [len(values)], values)


def attention(q, k, v, out, mask=None):
    """softmax(q k [+ mask]) v of tensors with leading dimensions that broadcast; k is transposed already."""
    nodes = [helper.make_node('MatMul', [q, k], [out + '.scores'])]
    scores = out + '.scores'
    if mask:
        nodes.append(helper.make_node('Add', [scores, mask], [out + '.masked']))
        scores = out + '.masked'
    return nodes + [helper.make_node('Softmax', [scores], [out + '.p'], axis=-1),
                    helper.make_node('MatMul', [out + '.p', v], [out])]


def model(nodes, inputs, outputs, initializers=(), values=()):
    graph = helper.make_graph(nodes, 'test', inputs, outputs, list(initializers), value_info=list(values))
    opsets = [helper.make_opsetid('', 17), helper.make_opsetid('com.microsoft', 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


Q, K, V = tensor('q', 'B', 4, 'S', 16), tensor('k', 'B', 4, 16, 'T'), tensor('v', 'B', 4, 'T', 16)


def plain():
    return model(attention('q', 'k', 'v', 'o'), [Q, K, V], [tensor('o')])


def unknown_between():
    """An operator that Burin does not read, between two attentions."""
    nodes = (attention('q', 'k', 'v', 'a') + [helper.make_node('NonZero', ['a'], ['places']),
             helper.make_node('Cast', ['places'], ['numbers'], to=TensorProto.FLOAT),
             helper.make_node('ReduceMax', ['numbers'], ['most'], keepdims=0),
             helper.make_node('Mul', ['a', 'most'], ['b'])] + attention('b', 'k', 'v', 'o'))
    return model(nodes, [Q, K, V], [tensor('o')])


def causal():
    """A mask of positions, which two attentions share."""
    integers = TensorProto.INT64
    nodes = [helper.make_node('Shape', ['q'], ['shape']), helper.make_node('Gather', ['shape', 'two'], ['rows']),
             helper.make_node('Range', ['zero', 'rows', 'one'], ['i']), helper.make_node('Unsqueeze', ['i', 'axis'], ['column']),
             helper.make_node('LessOrEqual', ['i', 'column'], ['visible']),
             helper.make_node('Where', ['visible', 'shown', 'hidden'], ['mask']),
             *attention('q', 'k', 'v', 'a', 'mask'), *attention('a', 'k', 'v', 'o', 'mask')]
    scalars = [helper.make_tensor(name, integers, [], [value]) for name, value in (('zero', 0), ('one', 1), ('two', 2))]
    more = [constant('axis', [1], integers), helper.make_tensor('shown', TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor('hidden', TensorProto.FLOAT, [], [float('-inf')])]
    k, v = tensor('k', 'B', 4, 16, 'S'), tensor('v', 'B', 4, 'S', 16)
    return model(nodes, [Q, k, v], [tensor('o')], scalars + more)


def inside_if():
    """An attention in a branch, of values of the graph around it."""
    then = helper.make_graph(attention('q', 'k', 'v', 't'), 'then', [], [tensor('t')])
    other = helper.make_graph([helper.make_node('Neg', ['q'], ['e'])], 'else', [], [tensor('e')])
    nodes = [helper.make_node('ReduceSum', ['q'], ['sum'], keepdims=0), helper.make_node('Less', ['sum', 'limit'], ['condition']),
             helper.make_node('If', ['condition'], ['o'], then_branch=then, else_branch=other)]
    return model(nodes, [Q, K, V, tensor('limit')], [tensor('o')])


def inside_if_and_else():
    """An attention in each branch, of other values."""
    then = helper.make_graph(attention('q', 'k', 'v', 't'), 'then', [], [tensor('t')])
    other = helper.make_graph([helper.make_node('Neg', ['q'], ['n']), *attention('n', 'k', 'v', 'e')], 'else', [], [tensor('e')])
    nodes = [helper.make_node('ReduceSum', ['q'], ['sum'], keepdims=0), helper.make_node('Less', ['sum', 'limit'], ['condition']),
             helper.make_node('If', ['condition'], ['o'], then_branch=then, else_branch=other)]
    return model(nodes, [Q, K, V, tensor('limit')], [tensor('o')])


def optional_beside():
    """A node with an attribute that is a type."""
    nodes = attention('q', 'k', 'v', 'o') + [helper.make_node('Optional', [], ['none'], type=helper.make_tensor_type_proto(TensorProto.FLOAT, [1])),
                                             helper.make_node('OptionalHasElement', ['none'], ['has'])]
    return model(nodes, [Q, K, V], [tensor('o'), helper.make_tensor_value_info('has', TensorProto.BOOL, [])])


def inside_loop():
    """Three attentions one after the other, in a loop that carries the queries."""
    def value(name, data_type): return helper.make_tensor_value_info(name, data_type, [])
    body = helper.make_graph([*attention('carried', 'k', 'v', 'next'), helper.make_node('Identity', ['go'], ['on'])], 'body',
                             [value('i', TensorProto.INT64), value('go', TensorProto.BOOL), tensor('carried', 'B', 4, 'S', 16)],
                             [value('on', TensorProto.BOOL), tensor('next', 'B', 4, 'S', 16)])
    nodes = [helper.make_node('Loop', ['three', '', 'q'], ['o'], body=body)]
    return model(nodes, [Q, K, V], [tensor('o')], [helper.make_tensor('three', TensorProto.INT64, [], [3])])


def two_outputs():
    """The probabilities are given out, too."""
    return model(attention('q', 'k', 'v', 'o'), [Q, K, V], [tensor('o'), tensor('o.p')])


def expanded_mask():
    """A mask of keys, expanded for all queries, which is given out, too: the attention reads a row of it."""
    integers = TensorProto.INT64
    nodes = [helper.make_node('Shape', ['q'], ['shape'], start=2, end=3), helper.make_node('Concat', ['one', 'one', 'shape', 'one'], ['extents'], axis=0),
             helper.make_node('Expand', ['keys', 'extents'], ['wide']), helper.make_node('Mul', ['wide', 'large'], ['mask']),
             *attention('q', 'k', 'v', 'o', 'mask')]
    more = [constant('one', [1], integers), helper.make_tensor('large', TensorProto.FLOAT, [], [-1e4])]
    return model(nodes, [Q, K, V, tensor('keys', 'B', 1, 1, 'T')], [tensor('o'), tensor('mask')], more)


def expanded_bias():
    """The same for all keys: where there are none, the results are something still, and what is added is nothing."""
    integers = TensorProto.INT64
    nodes = [helper.make_node('Shape', ['k'], ['shape'], start=3, end=4), helper.make_node('Concat', ['one', 'one', 'one', 'shape'], ['extents'], axis=0),
             helper.make_node('Expand', ['queries', 'extents'], ['wide']), helper.make_node('Mul', ['wide', 'half'], ['bias']),
             *attention('q', 'k', 'v', 'o', 'bias')]
    more = [constant('one', [1], integers), helper.make_tensor('half', TensorProto.FLOAT, [], [0.5])]
    return model(nodes, [Q, K, V, tensor('queries', 'B', 1, 'S', 1)], [tensor('o'), tensor('bias')], more)


def listed_dimensions():
    """Batch and length of what is reshaped come from a list, as GPT-2's do."""
    nodes = [helper.make_node('Shape', ['ids'], ['b_s']), helper.make_node('Concat', ['b_s', 'head'], ['extents'], axis=0),
             helper.make_node('Reshape', ['flat', 'extents'], ['x']), helper.make_node('Transpose', ['x'], ['q'], perm=[0, 2, 1, 3]),
             helper.make_node('Transpose', ['x'], ['k'], perm=[0, 2, 3, 1]), *attention('q', 'k', 'q', 'o')]
    return model(nodes, [tensor('ids', 'B', 'S'), tensor('flat', 'N', 64)], [tensor('o')], [constant('head', [4, 16], TensorProto.INT64)])


def scores_by_head():
    """Scores of all heads in one dimension, divided by a list to scale those of each head. The model promises that the
    list has four elements; where `dims` has one, it has three."""
    integers = TensorProto.INT64
    nodes = [helper.make_node('Reshape', ['heads', 'dims'], ['b_h']), helper.make_node('Shape', ['b_h'], ['batch_heads']),
             helper.make_node('Shape', ['q'], ['length'], start=1, end=2), helper.make_node('Concat', ['batch_heads', 'length', 'length'], ['by_head'], axis=0),
             helper.make_node('Concat', ['rest', 'length', 'length'], ['by_row'], axis=0),
             helper.make_node('MatMul', ['q', 'k'], ['scores']), helper.make_node('Reshape', ['scores', 'by_head'], ['divided']),
             helper.make_node('Mul', ['divided', 'slopes'], ['scaled']), helper.make_node('Reshape', ['scaled', 'by_row'], ['merged']),
             helper.make_node('Softmax', ['merged'], ['p'], axis=-1), helper.make_node('MatMul', ['p', 'q'], ['o'])]
    dims = helper.make_tensor_value_info('dims', integers, ['R'])
    slopes = helper.make_tensor('slopes', TensorProto.FLOAT, [4, 1, 1], [0.1, 0.2, 0.3, 0.4])
    return model(nodes, [tensor('heads', 'M'), dims, tensor('q', 'N', 'S', 16), tensor('k', 'N', 16, 'S')], [tensor('o')],
                 [constant('rest', [-1], integers), slopes], [tensor('b_h', 'B', 4)])
