"""Makes the quantized files beside this script with ONNX Runtime's own quantizer, and what it answers to them.

    python -m pip install onnx==1.23.2 onnxruntime==1.32.0 sympy && python make.py

The network is random: a padded convolution with Relu, a depthwise one with Clip, a residual addition, both
poolings (the mean over 9 pixels: over 4, a quarter of them are ties, which it and the golden model round to
different sides), and a fully connected layer. Written: qdq.onnx (per filter) and qoperator.onnx
(the QLinear operators), and answers.npz: `images` f32 [n, 3, 8, 8] and the logits of each file.
"""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

rng = np.random.default_rng(7)


def weights(name, *shape):
    fan_in = np.prod(shape[1:])
    return numpy_helper.from_array((rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32), name)


def bias(name, count):
    return numpy_helper.from_array((0.2 * rng.standard_normal(count)).astype(np.float32), name)


nodes = [
    helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
    helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
    helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "depthwise", pads=[0, 0, 1, 1], group=8, strides=[2, 2]),
    helper.make_node("Clip", ["c2", "low", "high"], ["r2"], "clip"),
    helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], "point"),
    helper.make_node("Add", ["r2", "c3"], ["a"], "add"),
    helper.make_node("MaxPool", ["a"], ["m"], "maximum", kernel_shape=[2, 2], pads=[1, 1, 0, 0]),
    helper.make_node("AveragePool", ["m"], ["v"], "average", kernel_shape=[3, 3]),
    helper.make_node("Flatten", ["v"], ["f"], "flatten"),
    helper.make_node("Gemm", ["f", "w4", "b4"], ["logits"], "connected", transB=1),
]
constants = [
    weights("w1", 8, 3, 3, 3), bias("b1", 8), weights("w2", 8, 1, 3, 3), bias("b2", 8), weights("w3", 8, 8, 1, 1),
    bias("b3", 8), weights("w4", 10, 32), bias("b4", 10),
    numpy_helper.from_array(np.float32(0), "low"), numpy_helper.from_array(np.float32(1), "high"),
]
graph = helper.make_graph(
    nodes, "network",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
    [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, "float.onnx")

images = rng.uniform(-1, 1, (32, 3, 8, 8)).astype(np.float32)


class Images(CalibrationDataReader):
    def __init__(self):
        self.left = iter(images)

    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"x": image[None]}


answers = {"images": images}
kinds = {
    "qdq": (QuantFormat.QDQ, QuantType.QInt8, True),
    "qoperator": (QuantFormat.QOperator, QuantType.QUInt8, False),
}
for name, (form, activation, per_channel) in kinds.items():
    quantize_static("float.onnx", f"{name}.onnx", Images(), quant_format=form, activation_type=activation,
                    weight_type=QuantType.QInt8, per_channel=per_channel)
    session = ort.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    answers[name] = np.concatenate([session.run(None, {"x": image[None]})[0] for image in images])
np.savez_compressed("answers.npz", **answers)
