#!/usr/bin/env python3
"""Writes interpreter_cases.txt: small inputs and expected outputs for every operation of Burin's graph.

The expected values come from ONNX Runtime; where it has no kernel, from ONNX's
own reference evaluator; where the operation is not ONNX, or ONNX leaves the value open, from a numpy formula here. Needs onnx, onnxruntime, numpy, ml_dtypes. The file is checked in, so that the tests
need none of them; run this only after a change:  python3 tests/data/make_interpreter_cases.py

A case, as tests/unit/interpreter/operations_test.cpp reads it:

    case add/row                       the name: operation/variant
    op Add                             as in burin/ops.def
    attr axis i 1                      also: f (number), s (word), is (integers), t (tensor)
    in f32 [2,3] 1 2 3 4 5 6           an input of the graph
    const i64 [2] 3 2                  an input that is a constant of the graph
    none                               an absent optional input
    out f32 [2,3] ...
    end
"""

import math
import pathlib

import ml_dtypes
import numpy as np
import onnx
import onnx.reference
import onnxruntime as ort
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplementedByRuntime

OPSET = 23
PRECISIONS = {
    np.dtype(np.float32): ("f32", TensorProto.FLOAT),
    np.dtype(np.float64): ("f64", TensorProto.DOUBLE),
    np.dtype(np.float16): ("f16", TensorProto.FLOAT16),
    np.dtype(ml_dtypes.bfloat16): ("bf16", TensorProto.BFLOAT16),
    np.dtype(np.int64): ("i64", TensorProto.INT64),
    np.dtype(np.int32): ("i32", TensorProto.INT32),
    np.dtype(np.int8): ("i8", TensorProto.INT8),
    np.dtype(np.uint8): ("u8", TensorProto.UINT8),
    np.dtype(np.bool_): ("bool", TensorProto.BOOL),
}
ORT_LOGS_ERRORS_ONLY = 3
random = np.random.default_rng(7)
lines = []


class Const:
    """An input that is a constant of the graph."""

    def __init__(self, values, dtype=np.int64):
        self.array = np.asarray(values, dtype)


def f32(values):
    return np.asarray(values, np.float32)


def normal(*dims):
    return random.normal(size=dims).astype(np.float32).round(3)


def uniform(low, high, *dims):
    return random.uniform(low, high, size=dims).astype(np.float32).round(3)


def ints(low, high, *dims, dtype=np.int64):
    return random.integers(low, high, size=dims).astype(dtype)


def array_of(value):
    return value.array if isinstance(value, Const) else value


def number_text(x):
    if isinstance(x, (np.floating, ml_dtypes.bfloat16)):
        return repr(float(x)) if x.dtype == np.float64 else np.format_float_positional(np.float32(x), unique=True, trim="-") \
            if math.isfinite(x) and (x == 0 or 1e-4 < abs(float(x)) < 1e9) else str(np.float32(x))
    return str(int(x))


def tensor_text(array):
    array = np.asarray(array)
    dims = ",".join(str(d) for d in array.shape)
    return " ".join([PRECISIONS[array.dtype][0], f"[{dims}]"] + [number_text(x) for x in array.reshape(-1)])


def attribute_text(value):
    if isinstance(value, np.ndarray):
        return "t " + tensor_text(value)
    if isinstance(value, str):
        return "s " + value
    if isinstance(value, float):
        return "f " + repr(value)
    if isinstance(value, (list, tuple)):
        return " ".join(["is"] + [str(v) for v in value])
    return f"i {int(value)}"


def run_onnx(op, inputs, attributes, outputs):
    """The outputs as ONNX Runtime computes them, in its own opset."""
    names, graph_inputs, initializers, feeds = [], [], [], {}
    for i, value in enumerate(inputs):
        if value is None:
            names.append("")
            continue
        array = np.asarray(array_of(value))
        names.append(f"in{i}")
        kind = PRECISIONS[array.dtype][1]
        if isinstance(value, Const):
            initializers.append(helper.make_tensor(names[-1], kind, array.shape, array.tobytes(), raw=True))
        else:
            graph_inputs.append(helper.make_tensor_value_info(names[-1], kind, array.shape))
            feeds[names[-1]] = array
    node = helper.make_node(op, names, [f"out{i}" for i in range(outputs)])
    for key, value in attributes.items():
        if isinstance(value, np.ndarray):
            value = helper.make_tensor(key, PRECISIONS[value.dtype][1], value.shape, value.tobytes(), raw=True)
        node.attribute.append(helper.make_attribute(key, value))
    results = [helper.make_empty_tensor_value_info(f"out{i}") for i in range(outputs)]
    graph = helper.make_graph([node], "case", graph_inputs, results, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    options = ort.SessionOptions()
    options.log_severity_level = ORT_LOGS_ERRORS_ONLY
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except NotImplementedByRuntime:
        print(f"{op} of {[PRECISIONS[np.asarray(array_of(v)).dtype][0] for v in inputs if v is not None]}: by onnx.reference")
        return onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    return session.run(None, feeds)


def case(name, op, inputs, attributes=None, *, onnx_inputs=None, onnx_attributes=None, outputs=1, expect=None):
    """Burin's inputs and attributes; ONNX's where they differ; or the expected outputs."""
    attributes = attributes or {}
    if expect is None:
        expect = run_onnx(op, inputs if onnx_inputs is None else onnx_inputs,
                          attributes if onnx_attributes is None else onnx_attributes, outputs)
    lines.append(f"case {name}")
    lines.append(f"op {op}")
    for key, value in attributes.items():
        lines.append(f"attr {key} {attribute_text(value)}")
    for value in inputs:
        if value is None:
            lines.append("none")
        else:
            lines.append(("const " if isinstance(value, Const) else "in ") + tensor_text(array_of(value)))
    for value in expect:
        lines.append("out " + tensor_text(value))
    lines.append("end")


# --- Element-wise -------------------------------------------------------------------------------------------

SPECIAL = f32([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, -1.5, np.inf, -np.inf, np.nan])


def elementwise():
    sample = np.concatenate([SPECIAL, uniform(-6, 6, 11)])
    finite = np.concatenate([f32([0, 1, -1, 0.5, -0.5, 8, -8, 30, -30]), uniform(-4, 4, 9)])
    positive = np.concatenate([f32([0.25, 1, 4, 1e-6, 1e6]), uniform(0.1, 9, 5)])
    for op in ["Abs", "Neg", "Floor", "Ceil", "Round", "Sign", "Reciprocal"]:
        case(f"{op}/special", op, [sample])
    for op in ["Exp", "Tanh", "Sigmoid", "Erf", "Softplus", "HardSwish", "Relu", "LeakyRelu", "Elu", "HardSigmoid", "Sin", "Cos"]:
        case(f"{op}/finite", op, [finite])
    for op in ["Exp", "Tanh", "Sigmoid", "Erf", "Sqrt", "Log"]:
        case(f"{op}/special", op, [SPECIAL])
    case("Relu/special", "Relu", [SPECIAL], expect=[np.where(SPECIAL < 0, np.float32(0), SPECIAL)])
    for op in ["Sqrt", "Log"]:
        case(f"{op}/positive", op, [positive])
    case("Rsqrt/positive", "Rsqrt", [positive], expect=[f32(1 / np.sqrt(positive.astype(np.float64)))])
    case("Square/finite", "Square", [finite], expect=[finite * finite])
    case("Square/i64", "Square", [np.asarray([-9, 0, 4])], expect=[np.asarray([81, 0, 16])])
    case("Exp2/finite", "Exp2", [finite], expect=[f32(np.exp2(finite.astype(np.float64)))])
    case("Silu/finite", "Silu", [finite], expect=[f32(finite / (1 + np.exp(-finite.astype(np.float64))))])
    case("LeakyRelu/alpha", "LeakyRelu", [finite], {"alpha": 0.3})
    case("Elu/alpha", "Elu", [finite], {"alpha": 1.5})
    case("HardSigmoid/alpha_beta", "HardSigmoid", [finite], {"alpha": 0.4, "beta": 0.3})
    case("Gelu/none", "Gelu", [finite])
    case("Gelu/tanh", "Gelu", [finite], {"approximate": "tanh"})
    case("Exp/f64", "Exp", [finite.astype(np.float64)])
    for op in ["Abs", "Neg", "Sign", "Relu"]:
        case(f"{op}/i32", op, [ints(-5, 5, 3, 4, dtype=np.int32)])
    case("Abs/i64_lowest", "Abs", [np.asarray([-2**63, 2**63 - 1, -7])], expect=[np.asarray([-2**63, 2**63 - 1, 7])])
    case("Neg/i8", "Neg", [np.asarray([-128, -1, 0, 127], np.int8)])
    case("Not/plain", "Not", [np.asarray([[True, False], [False, True]])])
    case("IsNaN/special", "IsNaN", [SPECIAL])
    case("IsInf/both", "IsInf", [SPECIAL])
    case("IsInf/positive", "IsInf", [SPECIAL], {"detect_negative": 0})
    case("IsInf/negative", "IsInf", [SPECIAL], {"detect_positive": 0})
    case("Identity/f32", "Identity", [sample])
    case("Identity/bool", "Identity", [np.asarray([True, False])])

    shapes = [("same", (2, 3, 4), (2, 3, 4)), ("row", (2, 3, 4), (4,)), ("column", (2, 3, 4), (3, 1)), ("scalar", (2, 3), ()),
              ("scalar_left", (), (2, 3)), ("both", (2, 1, 4), (1, 3, 1)), ("rank", (3,), (2, 2, 3)), ("one", (1,), (1, 1)),
              ("middle", (2, 3, 4), (2, 1, 4)), ("empty", (0, 3), (1, 3))]
    for label, left, right in shapes:
        case(f"Add/{label}", "Add", [normal(*left), normal(*right)])
        case(f"Less/{label}", "Less", [normal(*left), normal(*right)])
    for op in ["Sub", "Mul", "Div", "Min", "Max"]:
        case(f"{op}/both", op, [normal(2, 1, 4), normal(3, 1)])
        case(f"{op}/special", op, [SPECIAL[:, None], f32([1, -2, 0.5])], expect=numpy_binary(op, SPECIAL[:, None], f32([1, -2, 0.5])))
        case(f"{op}/i64", op, [ints(-9, 9, 2, 3), np.asarray([2, -3, 4])])
        case(f"{op}/i32", op, [ints(-9, 9, 2, 3, dtype=np.int32), ints(1, 5, 3, dtype=np.int32)])
    case("Add/wrap_i64", "Add", [np.asarray([2**63 - 1, -2**63]), np.asarray([1, -1])], expect=[np.asarray([-2**63, 2**63 - 1])])
    case("Add/wrap_i32", "Add", [np.asarray([2**31 - 1, -5], np.int32), np.asarray([1, -1], np.int32)])
    case("Sub/wrap_u8", "Sub", [np.asarray([3, 200], np.uint8), np.asarray([5, 100], np.uint8)])
    case("Mul/wrap_i8", "Mul", [np.asarray([100, -100], np.int8), np.asarray([3, 3], np.int8)])
    case("Div/truncates", "Div", [np.asarray([7, -7, 7, -7, 1]), np.asarray([2, 2, -2, -2, 3])])
    case("Div/lowest_by_minus_one", "Div", [np.asarray([-2**63, 9]), np.asarray([-1, -1])], expect=[np.asarray([-2**63, -9])])
    case("Pow/f32", "Pow", [uniform(0.1, 3, 2, 3), uniform(-2, 2, 3)])
    case("Pow/negative_base", "Pow", [f32([-2, -2, -2, 0, 0]), f32([2, 3, 0.5, 0, 2])])
    case("Pow/f32_i64", "Pow", [normal(2, 3), np.asarray([2, 3, 0])])
    case("Pow/i64_i64", "Pow", [np.asarray([2, -3, 5, 1]), np.asarray([10, 3, 0, -4])])
    case("Pow/i32_f32", "Pow", [np.asarray([2, 3, 4], np.int32), f32([3, 2, 0.5])])
    case("Mod/i64", "Mod", [np.asarray([7, -7, 7, -7, 6]), np.asarray([3, 3, -3, -3, 3])])
    case("Mod/i64_fmod", "Mod", [np.asarray([7, -7, 7, -7, 6]), np.asarray([3, 3, -3, -3, 3])], {"fmod": 1})
    case("Mod/f32_fmod", "Mod", [f32([5.3, -5.3, 5.3, -5.3]), f32([2, 2, -2, -2])], {"fmod": 1})
    case("PRelu/channel", "PRelu", [normal(2, 3, 4), uniform(0, 1, 3, 1)])
    case("PRelu/scalar", "PRelu", [normal(2, 3), f32(0.25)])
    bits = [np.asarray([[False], [True]]), np.asarray([False, True])]
    for op in ["And", "Or", "Xor"]:
        case(f"{op}/table", op, bits)
    for op in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
        case(f"{op}/special", op, [SPECIAL[:, None], f32([1, -1, np.nan, np.inf])])
        case(f"{op}/i64", op, [ints(-2, 3, 3, 3), ints(-2, 3, 3)])
    case("Equal/bool", "Equal", bits)
    case("Where/broadcast", "Where", [np.asarray([[True], [False]]), normal(3), normal(2, 1)])
    case("Where/mask", "Where", [ints(0, 2, 2, 1, 4).astype(bool), normal(2, 3, 4), f32(-np.inf)])
    case("Where/i64", "Where", [np.asarray([True, False, True]), ints(0, 9, 3), ints(0, 9, 3)])
    case("Where/bool", "Where", [np.asarray([True, False]), np.asarray([True, True]), np.asarray([False, False])])
    case("Clip/both", "Clip", [sample[:12], f32(-1), f32(2)])
    case("Clip/min", "Clip", [finite, f32(-1)])
    case("Clip/max", "Clip", [finite, None, f32(1)])
    case("Clip/none", "Clip", [finite])
    case("Clip/nan", "Clip", [SPECIAL, f32(-1), f32(2)], expect=[np.clip(SPECIAL, np.float32(-1), np.float32(2))])
    case("Clip/crossed", "Clip", [finite, f32(2), f32(-1)])
    case("Clip/i64", "Clip", [ints(-9, 9, 6), np.asarray(-3), np.asarray(4)])


def numpy_binary(op, a, b):
    function = {"Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Min": np.minimum, "Max": np.maximum}[op]
    with np.errstate(all="ignore"):
        return [function(a, b)]


def casts():
    def cast(label, x, to, expect=None):
        word, kind = PRECISIONS[np.dtype(to)]
        case(f"Cast/{label}", "Cast", [x], {"to": word}, onnx_attributes={"to": int(kind)}, expect=expect)

    values = f32([0, 0.4, -0.6, 1.5, 2.5, -2.5, 100.7, -100.7])
    cast("f32_i64", values, np.int64)
    cast("f32_i32", values, np.int32)
    cast("f32_i8", values, np.int8)
    cast("f32_u8", np.abs(values), np.uint8)
    cast("f32_bool", f32([0, -0.0, 0.1, -3, np.inf, np.nan]), np.bool_)
    cast("bool_f32", np.asarray([True, False]), np.float32)
    cast("bool_i64", np.asarray([True, False]), np.int64)
    cast("i64_bool", np.asarray([0, 1, -2, 256]), np.bool_)
    cast("i64_f32", np.asarray([0, -5, 16777217, 2**40 + 1]), np.float32)
    cast("i64_i32", np.asarray([0, -5, 2**31, 2**33 + 7]), np.int32)
    cast("i64_i8", np.asarray([0, -5, 128, 300]), np.int8)
    cast("i64_u8", np.asarray([0, -5, 128, 300]), np.uint8)
    cast("u8_f32", np.asarray([0, 200], np.uint8), np.float32)
    wide = f32([1, 1.0009765, 1.0004883, 3.14159265, 65504, 65519, 1e-7, -2.7182818, np.inf])
    cast("f32_f16", wide, np.float16)
    cast("f32_bf16", wide, ml_dtypes.bfloat16, [wide.astype(ml_dtypes.bfloat16)])
    cast("f64_f32", np.asarray([1 / 3, math.pi, 1e-50, 16777217.0]), np.float32)
    cast("f32_f64", f32([0.1, 1 / 3]), np.float64)
    cast("f16_f32", np.asarray([0.1, 6e-8, 65504], np.float16), np.float32)


# --- Reductions, normalisations -----------------------------------------------------------------------------

def reductions():
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2"]:
        x = normal(2, 3, 4)
        for label, axes, keep in [("last", [2], 1), ("first", [0], 1), ("middle_dropped", [1], 0), ("outer", [0, 1], 1),
                                  ("ends", [0, 2], 0), ("all", [0, 1, 2], 0), ("all_kept", [0, 1, 2], 1)]:
            case(f"{op}/{label}", op, [x], {"axes": axes, "keepdims": keep}, onnx_inputs=[x, Const(axes)], onnx_attributes={"keepdims": keep})
        whole = ints(-4, 5, 2, 3, dtype=np.int32)
        expect = [np.sqrt((whole.astype(np.int64) ** 2).sum(axis=1, keepdims=True)).astype(np.int32)] if op == "ReduceL2" else None
        case(f"{op}/i32", op, [whole], {"axes": [1]}, onnx_inputs=[whole, Const([1])], onnx_attributes={}, expect=expect)
    x = f32(np.zeros((0, 3)))
    case("ReduceSum/empty", "ReduceSum", [x], {"axes": [0], "keepdims": 0}, expect=[f32([0, 0, 0])])
    case("ReduceMax/empty", "ReduceMax", [x], {"axes": [0], "keepdims": 0}, expect=[f32([-np.inf] * 3)])
    case("ReduceMax/nan", "ReduceMax", [f32([[1, np.nan, 2], [-np.inf, -np.inf, -np.inf]])], {"axes": [1], "keepdims": 0},
         expect=[f32([np.nan, -np.inf])])
    ties = f32([[1, 3, 3], [2, 2, 0]])
    for axis in [0, 1]:
        case(f"ArgMax/axis{axis}", "ArgMax", [normal(3, 4)], {"axis": axis})
    case("ArgMax/dropped", "ArgMax", [normal(2, 3, 4)], {"axis": 1, "keepdims": 0})
    case("ArgMax/ties", "ArgMax", [ties], {"axis": 1})
    case("ArgMax/ties_last", "ArgMax", [ties], {"axis": 1, "select_last_index": 1})
    case("ArgMax/i64", "ArgMax", [ints(-9, 9, 2, 5)], {"axis": 1})
    for exclusive in [0, 1]:
        for reverse in [0, 1]:
            case(f"CumSum/exclusive{exclusive}_reverse{reverse}", "CumSum", [normal(2, 3, 4), Const(1)],
                 {"exclusive": exclusive, "reverse": reverse})
    case("CumSum/i64", "CumSum", [ints(0, 3, 2, 5), Const(-1)])
    case("CumSum/i32_axis0", "CumSum", [ints(0, 3, 3, 2, dtype=np.int32), np.asarray(0, np.int32)])


def normalisations():
    x = normal(2, 3, 4, 5)
    for op in ["Softmax", "LogSoftmax"]:
        for axis in [0, 1, 3]:
            case(f"{op}/axis{axis}", op, [x], {"axis": axis})
        case(f"{op}/large", op, [f32([[1000, 999, -1000], [-1000, -1001, -1002]])], {"axis": 1})
    masked = f32([[-np.inf, 1, 2], [-np.inf, -np.inf, -np.inf], [np.nan, 1, 2], [np.inf, 1, 2]])
    with np.errstate(all="ignore"):
        shifted = np.exp(masked - masked.max(axis=1, keepdims=True))
        case("Softmax/special", "Softmax", [masked], {"axis": 1}, expect=[shifted / shifted.sum(axis=1, keepdims=True)])
    for label, axis, dims in [("last", 3, (5,)), ("two", 2, (4, 5)), ("broadcast", 2, (5,))]:
        scale, bias = normal(*dims), normal(*dims)
        if label == "broadcast":
            full = [np.broadcast_to(scale, (4, 5)).copy(), np.broadcast_to(bias, (4, 5)).copy()]
        else:
            full = [scale, bias]
        case(f"LayerNormalization/{label}", "LayerNormalization", [x, scale, bias], {"axis": axis, "epsilon": 1e-3}, onnx_inputs=[x] + full)
    case("LayerNormalization/no_bias", "LayerNormalization", [x, normal(5)], {"axis": 3})
    case("LayerNormalization/statistics", "LayerNormalization", [x, normal(5), normal(5)], {"axis": 3}, outputs=3)
    for label, axis, dims in [("last", 3, (5,)), ("two", 2, (4, 5))]:
        scale = normal(*dims)
        mean = (x.astype(np.float64) ** 2).mean(axis=tuple(range(axis, 4)), keepdims=True)
        case(f"RMSNormalization/{label}", "RMSNormalization", [x, scale], {"axis": axis, "epsilon": 1e-3},
             expect=[f32(x / np.sqrt(mean + 1e-3) * scale)])
    case("InstanceNormalization/2d", "InstanceNormalization", [x, normal(3), normal(3)])
    case("InstanceNormalization/1d", "InstanceNormalization", [normal(2, 3, 6), normal(3), normal(3)], {"epsilon": 1e-2})
    case("GroupNormalization/two_groups", "GroupNormalization", [normal(2, 4, 3, 2), normal(4), normal(4)], {"num_groups": 2})
    case("GroupNormalization/one_group", "GroupNormalization", [normal(2, 4, 5), normal(4), normal(4)], {"num_groups": 1, "epsilon": 1e-2})
    case("BatchNormalization/2d", "BatchNormalization", [x, normal(3), normal(3), normal(3), uniform(0.1, 2, 3)])
    case("BatchNormalization/flat", "BatchNormalization", [normal(4, 3), normal(3), normal(3), normal(3), uniform(0.1, 2, 3)], {"epsilon": 1e-2})


# --- Matrix products, windows -------------------------------------------------------------------------------

def products():
    for label, a, b in [("plain", (3, 5), (5, 7)), ("tile", (8, 3), (3, 8)), ("one_row", (1, 6), (6, 9)), ("batch", (2, 3, 4), (2, 4, 5)),
                        ("batch_broadcast", (2, 1, 3, 4), (3, 4, 2)), ("shared_right", (2, 3, 4), (4, 5)), ("shared_left", (3, 4), (2, 4, 5)),
                        ("vector_left", (4,), (2, 4, 3)), ("vector_right", (2, 3, 4), (4,)), ("vectors", (4,), (4,)), ("no_depth", (2, 0), (0, 3))]:
        case(f"MatMul/{label}", "MatMul", [normal(*a), normal(*b)], expect=[f32(np.zeros((2, 3)))] if label == "no_depth" else None)
    case("MatMul/constant", "MatMul", [normal(5, 6), Const(normal(6, 7), np.float32)])
    case("MatMul/f64", "MatMul", [normal(5, 6).astype(np.float64), normal(6, 7).astype(np.float64)])
    case("MatMul/i64", "MatMul", [ints(-9, 9, 5, 6), ints(-9, 9, 6, 3)])
    case("MatMul/i32", "MatMul", [ints(-9, 9, 2, 3, dtype=np.int32), ints(-9, 9, 3, 2, dtype=np.int32)])
    for trans_a in [0, 1]:
        for trans_b in [0, 1]:
            a, b = normal(*((4, 3) if trans_a else (3, 4))), normal(*((5, 4) if trans_b else (4, 5)))
            case(f"Gemm/trans{trans_a}{trans_b}", "Gemm", [a, b, normal(5)], {"transA": trans_a, "transB": trans_b, "alpha": 0.5, "beta": 2.0})
    for label, dims in [("scalar", ()), ("row", (1, 5)), ("column", (3, 1)), ("full", (3, 5))]:
        case(f"Gemm/bias_{label}", "Gemm", [normal(3, 4), Const(normal(4, 5), np.float32), normal(*dims)])
    case("Gemm/no_bias", "Gemm", [normal(3, 4), normal(4, 5)], {"alpha": -1.5})
    # [B, S, H, D] by [B, S, H, D]: scores, and probabilities by values into [B, S, H, D].
    q, k = normal(2, 3, 2, 4), normal(2, 5, 2, 4)
    case("Brgemm/scores", "Brgemm", [q, k], {"perm_a": [0, 2, 1, 3], "perm_b": [0, 2, 3, 1]}, expect=[np.einsum("bshd,bthd->bhst", q, k)])
    p = normal(2, 2, 3, 5)
    case("Brgemm/values", "Brgemm", [p, k], {"perm_a": [0, 1, 2, 3], "perm_b": [0, 2, 1, 3], "perm_out": [0, 2, 1, 3]},
         expect=[np.einsum("bhst,bthd->bshd", p, k)])
    a, b = normal(3, 4), normal(4, 2)
    case("Brgemm/plain", "Brgemm", [a, b], expect=[a @ b])
    low = [normal(3, 4).astype(ml_dtypes.bfloat16), normal(4, 2).astype(ml_dtypes.bfloat16)]
    case("Brgemm/bf16_to_f32", "Brgemm", low, {"to": "f32"}, expect=[low[0].astype(np.float32) @ low[1].astype(np.float32)])
    small = [ints(-128, 128, 2, 9, dtype=np.int8), ints(0, 256, 9, 3, dtype=np.uint8)]
    case("Brgemm/bytes_to_i32", "Brgemm", small, {"to": "i32"}, expect=[small[0].astype(np.int32) @ small[1].astype(np.int32)])


def spatial():
    image, weights = normal(2, 4, 7, 6), normal(6, 4, 3, 3)
    case("Conv/plain", "Conv", [image, weights])
    case("Conv/bias_pads_strides", "Conv", [image, weights, normal(6)], {"pads": [1, 0, 2, 1], "strides": [2, 3], "kernel_shape": [3, 3]})
    case("Conv/dilations", "Conv", [image, weights], {"dilations": [2, 1], "pads": [1, 1, 1, 1]})
    case("Conv/groups", "Conv", [image, normal(6, 2, 3, 2)], {"group": 2})
    case("Conv/depthwise", "Conv", [image, normal(4, 1, 3, 3), normal(4)], {"group": 4, "pads": [1, 1, 1, 1]})
    for auto_pad in ["SAME_UPPER", "SAME_LOWER", "VALID"]:
        case(f"Conv/{auto_pad}", "Conv", [image, normal(2, 4, 2, 3)], {"auto_pad": auto_pad, "strides": [2, 2]})
    case("Conv/1d", "Conv", [normal(1, 3, 9), normal(2, 3, 3), normal(2)], {"strides": [2], "pads": [1, 1]})
    case("Conv/3d", "Conv", [normal(1, 2, 3, 4, 3), normal(2, 2, 2, 2, 2)])
    case("Conv/patches", "Conv", [normal(1, 3, 8, 8), Const(normal(5, 3, 4, 4), np.float32), normal(5)], {"strides": [4, 4], "kernel_shape": [4, 4]})
    for op in ["MaxPool", "AveragePool"]:
        for label, attributes in [("plain", {}), ("strides_pads", {"strides": [2, 2], "pads": [1, 0, 1, 1]}), ("dilations", {"dilations": [2, 2]}),
                                  ("ceil", {"strides": [2, 2], "ceil_mode": 1}), ("ceil_pads", {"strides": [3, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
                                  ("same", {"auto_pad": "SAME_UPPER", "strides": [2, 2]})]:
            case(f"{op}/{label}", op, [image[:1, :2]], {"kernel_shape": [3, 2], **attributes})
        case(f"{op}/1d", op, [normal(1, 2, 9)], {"kernel_shape": [4], "strides": [3]})
    case("MaxPool/indices", "MaxPool", [image[:1, :2]], {"kernel_shape": [2, 2], "strides": [2, 2]}, outputs=2)
    case("MaxPool/u8", "MaxPool", [ints(0, 255, 1, 1, 4, 4, dtype=np.uint8)], {"kernel_shape": [2, 2]})
    case("AveragePool/include_pad", "AveragePool", [image[:1, :2]], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1})
    case("AveragePool/include_pad_ceil", "AveragePool", [image[:1, :1]],
         {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1})
    case("GlobalAveragePool/2d", "GlobalAveragePool", [image])
    case("GlobalAveragePool/1d", "GlobalAveragePool", [normal(2, 3, 5)])
    small = normal(1, 2, 4, 3)
    up, down = Const([1, 1, 2.5, 1.5], np.float32), Const([1, 1, 0.6, 0.75], np.float32)
    for mode in ["nearest", "linear", "cubic"]:
        for transform in ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"]:
            for label, scales in [("up", up), ("down", down)]:
                case(f"Resize/{mode}_{transform}_{label}", "Resize", [small, None, scales], {"mode": mode, "coordinate_transformation_mode": transform})
    for nearest in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]:
        case(f"Resize/{nearest}", "Resize", [small, None, Const([1, 1, 2, 2], np.float32)],
             {"mode": "nearest", "nearest_mode": nearest, "coordinate_transformation_mode": "asymmetric"})
    case("Resize/sizes", "Resize", [small, None, None, Const([1, 2, 7, 5])], {"mode": "linear"})
    case("Resize/axes", "Resize", [small, None, None, Const([6, 6])], {"mode": "linear", "axes": [2, 3]})
    case("Resize/exclude_outside", "Resize", [small, None, Const([1, 1, 2, 2], np.float32)], {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5})


# --- Movement, indices, shapes ------------------------------------------------------------------------------

def movement():
    x = normal(2, 3, 4)
    for perm in [[0, 2, 1], [2, 1, 0], [1, 0, 2], [0, 1, 2]]:
        case(f"Transpose/{''.join(map(str, perm))}", "Transpose", [x], {"perm": perm})
    case("Transpose/heads", "Transpose", [normal(2, 3, 2, 4)], {"perm": [0, 2, 1, 3]})
    case("Transpose/i64", "Transpose", [ints(0, 9, 2, 3)], {"perm": [1, 0]})
    for label, shape, attributes in [("flat", [24], {}), ("infer", [-1, 8], {}), ("copy", [0, -1], {}), ("copy_last", [2, 0, 2, 2], {})]:
        case(f"Reshape/{label}", "Reshape", [x, Const(shape)], attributes)
    case("Reshape/input", "Reshape", [x, np.asarray([4, 6])])
    case("Reshape/allowzero", "Reshape", [f32(np.zeros((0, 3))), Const([3, 0])], {"allowzero": 1})
    case("Reshape/scalar", "Reshape", [f32([[3]]), Const(np.zeros(0))])
    y = normal(1, 3, 1, 4)
    for axes in [[0], [2], [0, 2]]:
        case(f"Squeeze/{len(axes)}_{axes[0]}", "Squeeze", [y], {"axes": axes}, onnx_inputs=[y, Const(axes)], onnx_attributes={})
    for axes in [[0], [3], [0, 2], [1, 4]]:
        case(f"Unsqueeze/{'_'.join(map(str, axes))}", "Unsqueeze", [x], {"axes": axes}, onnx_inputs=[x, Const(axes)], onnx_attributes={})
    for axis in [0, 1, 2, 3]:
        case(f"Flatten/{axis}", "Flatten", [x], {"axis": axis})
    for label, dims, shape in [("middle", (2, 1, 3), [2, 4, 3]), ("rank", (3, 1), [2, 3, 4]), ("ones", (2, 3), [1, 1]), ("scalar", (), [2, 2])]:
        case(f"Expand/{label}", "Expand", [normal(*dims), Const(shape)])
    case("Expand/bool", "Expand", [np.asarray([[True], [False]]), Const([2, 3])])
    for axis in [0, 1, 2]:
        case(f"Repeat/{axis}", "Repeat", [x], {"axis": axis, "times": 3}, expect=[np.repeat(x, 3, axis=axis)])
    for label, dims, times in [("plain", (2, 3), [2, 2]), ("inner", (2, 3), [1, 3]), ("three", (2, 1, 2), [2, 3, 1]), ("none", (2, 3), [0, 1])]:
        case(f"Tile/{label}", "Tile", [normal(*dims), Const(times)])
    for axis, parts in [(0, [(2, 3), (1, 3)]), (1, [(2, 3), (2, 1), (2, 2)]), (1, [(2, 3)]), (0, [(0, 3), (2, 3)])]:
        case(f"Concat/{axis}_{len(parts)}_{parts[0][0]}", "Concat", [normal(*dims) for dims in parts], {"axis": axis})
    case("Concat/i64", "Concat", [ints(0, 9, 2), ints(0, 9, 1)], {"axis": 0})
    z = normal(2, 6, 2)
    case("Split/equal", "Split", [z], {"axis": 1}, onnx_attributes={"axis": 1, "num_outputs": 3}, outputs=3)
    case("Split/sizes", "Split", [z, Const([1, 3, 2])], {"axis": 1}, outputs=3)
    case("Split/last", "Split", [z, Const([1, 1])], {"axis": 2}, outputs=2)
    case("Split/empty_part", "Split", [z, Const([0, 2])], {"axis": 0}, outputs=2)
    low, high = -(2**63), 2**63 - 1
    for label, starts, ends, axes, steps in [
            ("plain", [1], [3], [1], None), ("default_axes", [0, 1], [1, 5], None, None), ("negative", [-3], [-1], [1], None), ("beyond", [2], [high], [1], None),
            ("steps", [0], [6], [1], [2]), ("backwards", [5], [0], [1], [-2]), ("reverse", [-1], [low], [1], [-1]), ("reverse_huge", [high], [low], [1], [-1]),
            ("negative_axis", [0], [1], [-1], None), ("empty", [3], [2], [1], None), ("two", [1, 5], [2, low], [0, 1], [1, -2]), ("huge_step", [1], [6], [1], [high]),
            ("backwards_empty", [0], [4], [1], [-1])]:
        inputs = [z, Const(starts), Const(ends), None if axes is None else Const(axes)] + ([] if steps is None else [Const(steps)])
        while inputs[-1] is None:
            inputs.pop()
        case(f"Slice/{label}", "Slice", inputs)
    w = normal(3, 4)
    for mode in ["constant", "reflect", "edge", "wrap"]:
        case(f"Pad/{mode}", "Pad", [w, Const([1, 2, 0, 1])], {"mode": mode})
    case("Pad/value", "Pad", [w, Const([0, 1, 1, 0]), f32(2.5)])
    case("Pad/axes", "Pad", [w, Const([1, 2]), f32(-1), Const([1])])
    case("Pad/negative", "Pad", [w, Const([-1, 1, 0, -2])])
    case("Pad/i64", "Pad", [ints(0, 9, 2, 2), Const([1, 0, 0, 1]), np.asarray(7)])
    square = normal(2, 4, 5)
    for upper in [0, 1]:
        for k in [None, -1, 0, 2, 9]:
            case(f"Trilu/upper{upper}_{k}", "Trilu", [square] + ([] if k is None else [Const(k)]), {"upper": upper})
    case("Trilu/bool", "Trilu", [np.ones((3, 3), bool)], {"upper": 0}, expect=[np.tril(np.ones((3, 3), bool))])
    for mode in ["DCR", "CRD"]:
        case(f"DepthToSpace/{mode}", "DepthToSpace", [normal(1, 8, 2, 3)], {"blocksize": 2, "mode": mode})


def indices():
    table = normal(5, 3, 2)
    for axis in [0, 1, 2]:
        picks = np.asarray([[0, 1], [-1, 0]])
        case(f"Gather/axis{axis}", "Gather", [table, picks], {"axis": axis})
    case("Gather/constant_table", "Gather", [Const(table, np.float32), np.asarray([[4, 0, -2]])], {"axis": 0})
    case("Gather/scalar", "Gather", [table, Const(1)], {"axis": 1})
    case("Gather/i64", "Gather", [ints(0, 99, 4), Const([3, 0])], {"axis": 0})
    case("Gather/i32_indices", "Gather", [table, np.asarray([2, 0], np.int32)], {"axis": 0})
    case("Gather/many", "Gather", [Const(normal(2, 3), np.float32), np.asarray([0, 1, 1, 0, 1])], {"axis": 0})
    x = normal(3, 4)
    case("GatherElements/axis0", "GatherElements", [x, np.asarray([[0, 2, -1], [1, 0, 0]])], {"axis": 0})
    case("GatherElements/axis1", "GatherElements", [x, np.asarray([[0, 3], [1, -1], [2, 2]])], {"axis": 1})
    y = normal(2, 3, 4)
    case("GatherND/full", "GatherND", [y, np.asarray([[0, 1, 2], [1, 2, -1]])])
    case("GatherND/slices", "GatherND", [y, np.asarray([[[0, 1]], [[1, 2]]])])
    case("GatherND/rows", "GatherND", [y, np.asarray([[1], [0], [1]])])
    case("GatherND/batch", "GatherND", [y, np.asarray([[1], [0]])], {"batch_dims": 1})
    case("GatherND/batch2", "GatherND", [y, ints(0, 4, 2, 3, 1)], {"batch_dims": 2})
    case("ScatterND/elements", "ScatterND", [f32(range(8)), np.asarray([[4], [3], [-7]]), f32([9, 10, 11])])
    case("ScatterND/rows", "ScatterND", [y, np.asarray([[0], [1]]), normal(2, 3, 4)])
    for reduction in ["add", "mul", "min", "max"]:
        case(f"ScatterND/{reduction}", "ScatterND", [f32(range(8)), np.asarray([[4], [4], [1]]), f32([9, -2, 3])], {"reduction": reduction})
    case("ScatterND/i64", "ScatterND", [ints(0, 9, 3, 2), np.asarray([[2, 1], [0, 0]]), np.asarray([70, 80])])
    for label, attributes in [("all", {}), ("start", {"start": 1}), ("end", {"end": -1}), ("both", {"start": -2, "end": 3}), ("none", {"start": 2, "end": 1}),
                              ("beyond", {"start": -9, "end": 9})]:
        case(f"Shape/{label}", "Shape", [y], attributes)
    case("Size/plain", "Size", [y])
    case("Size/empty", "Size", [f32(np.zeros((0, 3)))])
    case("ConstantOfShape/default", "ConstantOfShape", [Const([2, 3])])
    case("ConstantOfShape/i64", "ConstantOfShape", [Const([4])], {"value": np.asarray([7])})
    case("ConstantOfShape/f32", "ConstantOfShape", [np.asarray([2, 2])], {"value": f32([-1.5])})
    case("ConstantOfShape/bool", "ConstantOfShape", [Const([3])], {"value": np.asarray([True])})
    case("ConstantOfShape/scalar", "ConstantOfShape", [Const(np.zeros(0))], {"value": f32([2])})
    for label, values, dtype in [("i64", [1, 9, 3], np.int64), ("down", [5, -4, -2], np.int64), ("empty", [5, 1, 2], np.int64), ("f32", [0.5, 3.2, 0.5], np.float32),
                                 ("f32_down", [1, -1, -0.75], np.float32), ("i32", [0, 5, 1], np.int32)]:
        case(f"Range/{label}", "Range", [Const(v, dtype) for v in values])
    case("Range/inputs", "Range", [np.asarray(0), np.asarray(6), np.asarray(2)])


def main():
    for section in [elementwise, casts, reductions, normalisations, products, spatial, movement, indices]:
        section()
    path = pathlib.Path(__file__).with_name("interpreter_cases.txt")
    path.write_text("# Written by make_interpreter_cases.py, which says what the words mean.\n" + "\n".join(lines) + "\n")
    print(f"{path}: {lines.count('end')} cases, {path.stat().st_size} bytes; onnxruntime {ort.__version__}, numpy {np.__version__}")


if __name__ == "__main__":
    main()
