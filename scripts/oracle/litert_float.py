#!/usr/bin/env python3
"""Runs a float TensorFlow Lite file in LiteRT: MODEL INPUTS.npy OUTPUTS.npy.

INPUTS holds images along its first axis, each with the elements of the file's only input; OUTPUTS gets the file's
only output for each, `[image, element]`.
"""

import argparse

import numpy
from ai_edge_litert.interpreter import Interpreter

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("inputs")
parser.add_argument("outputs")
arguments = parser.parse_args()
interpreter = Interpreter(model_path=arguments.model)
interpreter.allocate_tensors()
[source], [result] = interpreter.get_input_details(), interpreter.get_output_details()
outputs = []
for image in numpy.load(arguments.inputs):
    interpreter.set_tensor(source["index"], image.reshape(source["shape"]))
    interpreter.invoke()
    outputs.append(interpreter.get_tensor(result["index"]).flatten())
numpy.save(arguments.outputs, numpy.stack(outputs))
