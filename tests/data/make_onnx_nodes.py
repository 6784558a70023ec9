#!/usr/bin/env python3
"""Writes onnx_nodes.bin: ONNX's backend tests of single operators that Burin reads, the small ones.

The operators are those of docs/operators.md. The tests come with the onnx package (1.23; the newer
the package, the more tests). The file is checked in, so that the tests need no package; run this
after a change of the table of operators:

    python3 tests/data/make_onnx_nodes.py

With a folder, all tests are written there, a folder each, as BURIN_NODE_TESTS reads them:

    python3 tests/data/make_onnx_nodes.py nodes
"""

import pathlib
import re
import sys

import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

LARGEST = 6_000  # bytes of a test's files
READ_TYPES = {  # those of the inputs and outputs that Burin has
    getattr(onnx.TensorProto, name)
    for name in "FLOAT DOUBLE FLOAT16 BFLOAT16 INT64 INT32 INT16 INT8 UINT64 UINT32 UINT16 UINT8 BOOL".split()
}
HERE = pathlib.Path(__file__).parent


def serialized(value, info):
    """A tensor, in the form of the model zoo; other kinds of values are not for Burin."""
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    if not info.type.HasField("tensor_type"):
        return None
    return numpy_helper.from_array(value, info.name).SerializeToString()


def files_of(case):
    """Path -> contents; None for a test of other values than tensors."""
    files = {"model.onnx": case.model.SerializeToString()}
    for i, (inputs, outputs) in enumerate(case.data_sets):
        for kind, values, infos in (
            ("input", inputs, case.model.graph.input),
            ("output", outputs, case.model.graph.output),
        ):
            for j, value in enumerate(values):
                files[f"test_data_set_{i}/{kind}_{j}.pb"] = serialized(value, infos[j])
    return None if None in files.values() else files


def read_operators():
    """(domain, name) of each line of the table."""
    text = (HERE / "../../docs/operators.md").read_text()
    rows = re.findall(r"^\| `(?:(\S+)::)?(\w+)` \|", text, re.MULTILINE)
    return {(domain, name) for domain, name in rows}


def is_read(model, operators):
    nodes = {(node.domain, node.op_type) for node in model.graph.node}
    types = {v.type.tensor_type.elem_type for v in [*model.graph.input, *model.graph.output]}
    return nodes <= operators and types <= READ_TYPES


def write_folder(cases, folder):
    for name, files in cases:
        for path, contents in files.items():
            file = folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents)


def write_archive(cases, file):
    with file.open("wb") as out:
        for name, files in cases:
            for path, contents in files.items():
                out.write(f"{name}/{path} {len(contents)}\n".encode())
                out.write(contents)


def main():
    cases = [(case.name, files_of(case), case.model) for case in load_model_tests(kind="node")]
    cases = sorted((c for c in cases if c[1] is not None), key=lambda c: c[0])
    if len(sys.argv) > 1:
        return write_folder([c[:2] for c in cases], pathlib.Path(sys.argv[1]))
    operators = read_operators()
    chosen = [
        (name, files)
        for name, files, model in cases
        if is_read(model, operators) and sum(map(len, files.values())) <= LARGEST
    ]
    write_archive(chosen, HERE / "onnx_nodes.bin")
    print(f"{len(chosen)} of {len(cases)} tests")


if __name__ == "__main__":
    main()
