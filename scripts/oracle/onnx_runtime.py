#!/usr/bin/env python3
"""Runs an ONNX file in ONNX Runtime: MODEL INPUTS.npy OUTPUTS.npy.

INPUTS is the file's only input, images along its first axis; OUTPUTS gets its only output for all of them.
"""

import argparse

import numpy
import onnxruntime

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("inputs")
parser.add_argument("outputs")
arguments = parser.parse_args()
session = onnxruntime.InferenceSession(arguments.model, providers=["CPUExecutionProvider"])
[port] = session.get_inputs()
[outputs] = session.run(None, {port.name: numpy.load(arguments.inputs)})
numpy.save(arguments.outputs, outputs)
