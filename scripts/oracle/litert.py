#!/usr/bin/env python3
"""litert: runs inputs through LiteRT's int8 kernels, the oracle of the golden model's tests.

usage: litert.py [--default-kernels] [--last-operator] MODEL INPUTS.npy NAMES.txt OUTPUTS.npz

INPUTS.npy    uint8 [image, ...]: int8 values plus 128
NAMES.txt     names of activations in the model, one a line
OUTPUTS.npz   uint8 [image, element] for each name, under the name's line number from 0

Without options, every operator is LiteRT's reference kernel. --default-kernels takes those that an
application gets (XNNPACK), --last-operator runs the model's last operator alone.
"""

import argparse
import contextlib
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

NAME_CHARACTERS = 256


def last_operator(model: bytes) -> bytes:
    """The model with nothing but its last operator; its inputs become the model's."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph = tree.subgraphs[0]
    operator = graph.operators[-1]
    graph.operators = [operator]
    graph.inputs, graph.outputs = [operator.inputs[0]], [operator.outputs[0]]
    tree.signatureDefs = None
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@contextlib.contextmanager
def quiet():
    """Keeps LiteRT's log lines off the terminal."""
    saved = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def activation(interpreter: Interpreter, name: str) -> dict:
    """The one activation of a name, which may have been cut off after NAME_CHARACTERS."""
    written = {index for operator in interpreter._get_ops_details() for index in operator["outputs"]}
    found = [
        detail
        for detail in interpreter.get_tensor_details()
        if detail["index"] in written and detail["name"][: max(len(name), NAME_CHARACTERS)] == name
    ]
    if len(found) != 1:
        sys.exit(f"litert: {len(found)} activations are named {name}")
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--default-kernels", action="store_true")
    parser.add_argument("--last-operator", action="store_true")
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("names")
    parser.add_argument("outputs")
    arguments = parser.parse_args()

    with open(arguments.model, "rb") as file:
        model = file.read()
    if arguments.last_operator:
        model = last_operator(model)
    kernels = OpResolverType.AUTO if arguments.default_kernels else OpResolverType.BUILTIN_REF
    with open(arguments.names) as file:
        names = file.read().splitlines()
    with quiet():
        # Delegated operators keep no activations but the model's inputs and outputs.
        interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=kernels,
            experimental_preserve_all_tensors=not arguments.default_kernels,
            num_threads=1,
        )
        interpreter.allocate_tensors()

    chosen = [activation(interpreter, name) for name in names]
    for detail in chosen:
        if detail["dtype"] != np.int8:
            sys.exit(f"litert: {detail['name']} is {detail['dtype'].__name__}, not int8")

    (source,) = interpreter.get_input_details()
    images = np.load(arguments.inputs)
    outputs = [np.empty((len(images), int(np.prod(detail["shape"]))), np.uint8) for detail in chosen]
    for number, image in enumerate(images):
        values = (image.astype(np.int16) - 128).astype(np.int8)
        interpreter.set_tensor(source["index"], values.reshape(source["shape"]))
        interpreter.invoke()
        for rows, detail in zip(outputs, chosen):
            values = interpreter.get_tensor(detail["index"]).reshape(-1)
            rows[number] = (values.astype(np.int16) + 128).astype(np.uint8)
    np.savez(arguments.outputs, **{str(line): rows for line, rows in enumerate(outputs)})


if __name__ == "__main__":
    main()
