#!/usr/bin/env python3
"""Writes onnx_contrib.bin: fused operators of ONNX Runtime's exporters, with what its CPU kernels give.

The form is that of onnx_nodes.bin. Needs onnx, onnxruntime, numpy; the file is checked in, so that the
tests need none of them.

    python3 tests/data/make_onnx_contrib.py
"""

import pathlib

import numpy as np
import onnxruntime as ort
from make_onnx_nodes import write_archive
from onnx import TensorProto, helper, numpy_helper

CONTRIB = "com.microsoft"
OPSET = 23
TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL,
}
B, S, H, G, D = 3, 5, 4, 2, 4  # batch, queries, heads, heads of keys, size of a head
P = 6  # keys of the past
T = 7  # keys of another sequence
DYNAMIC = {B: "batch", S: "sequence", P: "past", T: "keys"}  # dimensions that the models do not know
random = np.random.default_rng(11)
cases = []


class Const:
    """An input that the model knows."""

    def __init__(self, array):
        self.array = array


def normal(*dims):
    return random.normal(size=dims).astype(np.float32)


def i32(values):
    return np.asarray(values, np.int32)


def model_of(name, op, inputs, outputs, domain, static, attributes):
    """The model, and what is given to it: (label, array). The type of `outputs`[i] is that of output i."""
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(len(outputs))], name=name, domain=domain, **attributes)
    given, infos, constants = [], [], []
    for label, array in zip(names, inputs):
        if isinstance(array, Const):
            constants.append(numpy_helper.from_array(array.array, label))
        elif array is not None:
            dims = [d if static else DYNAMIC.get(d, d) for d in array.shape]
            infos.append(helper.make_tensor_value_info(label, TYPES[array.dtype], dims))
            given.append((label, array))
    results = [helper.make_tensor_value_info(o, t, None) for o, t in zip(node.output, outputs)]
    graph = helper.make_graph([node], name, infos, results, constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString(), given


def case(name, op, inputs, outputs=1, domain=CONTRIB, static=False, same_as=None, **attributes):
    """`inputs`: arrays; None for one that is not given. All dimensions are known to the model if `static`.
    `same_as`: other inputs that mean the same, where the CPU kernel does not have this form."""
    if isinstance(outputs, int):
        outputs = [TensorProto.FLOAT] * outputs
    model, given = model_of(name, op, inputs, outputs, domain, static, attributes)
    known, fed = model_of(name, op, same_as, outputs, domain, static, attributes) if same_as else (model, given)
    session = ort.InferenceSession(known, providers=["CPUExecutionProvider"])
    values = session.run(None, dict(fed))
    files = {"model.onnx": model}
    for i, (label, array) in enumerate(given):
        files[f"test_data_set_0/input_{i}.pb"] = numpy_helper.from_array(array, label).SerializeToString()
    for i, value in enumerate(values):
        files[f"test_data_set_0/output_{i}.pb"] = numpy_helper.from_array(value, f"y{i}").SerializeToString()
    cases.append((name, files))


def multi_head_attention():
    def mha(name, inputs, **more):
        case(f"mha_{name}", "MultiHeadAttention", inputs, num_heads=H, **more)

    q, k, v = normal(B, S, H * D), normal(B, S, H * D), normal(B, S, H * D)
    kt, vt = normal(B, T, H * D), normal(B, T, H * D)
    wide = normal(B, T, H * 2 * D)
    bias = normal(3 * H * D)
    past = [normal(B, H, P, D), normal(B, H, P, D)]
    padding = i32([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0], [1] * T])
    mha("plain", [q, k, v])
    mha("cross", [q, kt, vt])
    mha("wide_values", [q, kt, wide])
    mha("scale", [q, k, v], scale=0.2)
    mha("bias", [q, k, v, bias])
    mha("key_padding", [q, kt, vt, None, padding])
    mha("key_lengths", [q, kt, vt, None, i32([7, 4, 1])])
    mha("mask_filter_value", [q, kt, vt, None, padding], mask_filter_value=-3.0)
    mha("all_padding", [q, kt, vt, None, i32([[0] * T, [1] * T, [0] * T])])
    mha("attention_bias", [q, k, v, None, None, normal(B, H, S, S)])
    mha("attention_bias_shared", [q, k, v, None, None, normal(1, 1, S, S)])
    mha("unidirectional", [q, k, v], unidirectional=1)
    mha("past", [q, k, v, None, None, None, *past], outputs=3)
    mha("past_unidirectional", [q, k, v, None, None, None, *past], outputs=3, unidirectional=1)
    mha("heads_of_keys", [q, normal(B, H, T, D), normal(B, H, T, D)])
    mha("padding_and_bias", [q, k, v, bias, i32([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1] * S]), normal(B, H, S, S)])
    q, k, v = normal(B, S, H, D), normal(B, S, H, D), normal(B, S, H, D)
    flat = [x.reshape(B, S, H * D) for x in (q, k, v)]
    mha("packed", [np.stack([q, k, v], 3)], same_as=flat)
    mha("packed_keys", [flat[0], np.stack([k, v], 3)], same_as=flat)


def attention():
    def att(name, inputs, **more):
        case(f"attention_{name}", "Attention", inputs, num_heads=H, **more)

    width = 12
    x = normal(B, S, width)
    w, b = Const(normal(width, 3 * H * D)), Const(normal(3 * H * D))
    past = normal(2, B, H, P, D)
    att("plain", [x, w, b])
    att("no_bias", [x, w])
    att("weights_given", [x, w.array, b.array])
    att("hidden_sizes", [x, Const(normal(width, 4 * H * D)), Const(normal(4 * H * D))], qkv_hidden_sizes=[H * D, H * D, 2 * H * D])
    att("padding", [x, w, b, i32([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1] * S])])
    att("lengths", [x, w, b, i32([5, 2, 1])])
    att("mask_3d", [x, w, b, i32(np.tri(S)[None].repeat(B, 0))])
    att("unidirectional", [x, w, b], unidirectional=1)
    att("past", [x, w, b, None, past], outputs=2)
    att("past_unidirectional", [x, w, b, None, past], outputs=2, unidirectional=1)
    att("attention_bias", [x, w, b, None, None, normal(B, H, S, S)])
    att("scale", [x, w, b], scale=0.3)


def group_query_attention():
    D = 16  # rotation wants a multiple of 16

    def gqa(name, inputs, last, total, **more):
        inputs = inputs[:5] + [i32(last), i32(total)] + inputs[5:]
        case(f"gqa_{name}", "GroupQueryAttention", inputs, outputs=3, num_heads=H, kv_num_heads=G, **more)

    q, k, v = normal(B, S, H * D), normal(B, S, G * D), normal(B, S, G * D)
    past = [normal(B, G, P, D), normal(B, G, P, D)]
    angles = normal(16, D // 2)
    cos, sin = np.cos(angles), np.sin(angles)
    last, total = [P + S - 1] * B, P + S
    one = [normal(B, 1, H * D), normal(B, 1, G * D), normal(B, 1, G * D)]
    gqa("prompt", [q, k, v, None, None], [S - 1] * B, S)
    gqa("prompt_packed", [normal(B, S, (H + 2 * G) * D), None, None, None, None], [S - 1] * B, S)
    gqa("past", [q[:1], k[:1], v[:1], past[0][:1], past[1][:1]], last[:1], total)
    gqa("decode", [*one, *past], [P] * B, P + 1)
    gqa("decode_ragged", [*one, *past], [P, P - 1, P], P + 1)
    gqa("decode_rotary", [*one, *past, cos, sin], [P] * B, P + 1, do_rotary=1)
    gqa("decode_rotary_ragged", [*one, *past, cos, sin], [P - 1, P, P - 1], P + 1, do_rotary=1)
    gqa("rotary", [q, k, v, None, None, cos, sin], [S - 1] * B, S, do_rotary=1)
    gqa("rotary_interleaved", [q, k, v, None, None, cos, sin], [S - 1] * B, S, do_rotary=1, rotary_interleaved=1)
    gqa("softcap", [q, k, v, None, None], [S - 1] * B, S, softcap=2.0)
    gqa("scale", [q, k, v, None, None], [S - 1] * B, S, scale=0.2)
    gqa("window", [q, k, v, None, None], [S - 1] * B, S, local_window_size=2)
    gqa("window_past", [q[:1], k[:1], v[:1], past[0][:1], past[1][:1]], last[:1], total, local_window_size=4)
    gqa("attention_bias", [q, k, v, None, None, None, None, None, normal(B, H, S, S)], [S - 1] * B, S)


def others():
    x = normal(B, S, H * D)
    heads = normal(B, H, S, D)
    angles = normal(16, D // 2)
    cos, sin = np.cos(angles), np.sin(angles)
    positions = np.arange(S, dtype=np.int64)[None] + np.array([[2], [6], [0]])
    offset = np.array([4], np.int64)
    case("rotary", "RotaryEmbedding", [heads, positions, cos, sin])
    case("rotary_offset", "RotaryEmbedding", [heads, offset, cos, sin])
    case("rotary_3d", "RotaryEmbedding", [x, positions, cos, sin], static=True)
    case("rotary_interleaved", "RotaryEmbedding", [heads, positions, cos, sin], interleaved=1)
    case("rotary_part", "RotaryEmbedding", [x, positions, cos[:, :1], sin[:, :1]], num_heads=H, rotary_embedding_dim=2)
    rows, scale, shift, bias = normal(B, S, 10), normal(10), normal(10), normal(10)
    skip = normal(B, S, 10)
    case("bias_gelu", "BiasGelu", [rows, bias])
    case("gelu", "Gelu", [rows])
    case("fast_gelu", "FastGelu", [rows])
    case("fast_gelu_bias", "FastGelu", [rows, bias])
    case("quick_gelu", "QuickGelu", [rows], alpha=1.5)
    case("fused_gemm", "FusedGemm", [normal(2, 3), normal(4, 3), normal(4)], activation="Relu", transB=1, alpha=0.5)
    case("fused_matmul", "FusedMatMul", [normal(2, 3, 4), normal(2, 5, 4)], transB=1, alpha=0.5)
    ids, segments = i32(np.arange(B * S).reshape(B, S) % 9), i32(np.arange(B * S).reshape(B, S) % 2)
    tables = [Const(normal(9, 10)), Const(normal(S + 3, 10)), Const(normal(2, 10))]
    for name, given in (("embed", [ids, segments]), ("embed_no_segments", [ids, None])):
        words, places, kinds = tables if given[1] is not None else [*tables[:2], None]
        case(name, "EmbedLayerNormalization", [*given, words, places, kinds, scale, shift], [TensorProto.FLOAT, TensorProto.INT32], epsilon=1e-5)
    case("skip_layer_norm", "SkipLayerNormalization", [rows, skip, scale, shift, bias], epsilon=1e-5)
    case("skip_layer_norm_plain", "SkipLayerNormalization", [rows, skip, scale])
    case("skip_rms_norm", "SkipSimplifiedLayerNormalization", [rows, skip, scale, bias], epsilon=1e-5)
    case("rms_norm", "SimplifiedLayerNormalization", [rows, scale], domain="", epsilon=1e-5)


def main():
    multi_head_attention()
    attention()
    group_query_attention()
    others()
    write_archive(sorted(cases), pathlib.Path(__file__).parent / "onnx_contrib.bin")
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
