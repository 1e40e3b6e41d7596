"""train_default: makes the embedded default network and its images, from nothing but this file.

    "$(scripts/setup --path)/bin/python" scripts/train_default.py

renders images of ten shapes and textures, trains a small residual CNN on them (Adam, no image is seen twice), and
writes assets/default.onnx (float32, raw 0..255 pixels in) and assets/default-images.npz (`images` u8 [n, 32, 32, 3],
`labels`: CALIBRATION images to calibrate with, then TEST to measure accuracy on; none of them was trained on).
Everything comes from SEED; another build of BLAS may round differently.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: the same sums in the same order

import struct
import time
from pathlib import Path

import numpy as np

SEED = 20
SIDE = 32
BATCH = 32
STEPS = 550
RATE = 5e-3
CALIBRATION, TEST, HELD_OUT = 120, 200, 2000
HARDNESS = 1.1  # of the embedded images, beyond those of training: a network that never errs shows no loss
CENTRE, SCALE = 128, 1 / 64  # of pixels in training; folded into the first convolution, whose padding is pixel 0
CLASSES = ("disc", "ring", "square", "diamond", "triangle", "plus", "saltire", "bars", "columns", "checks")
# name, input channels, filters, stride; all 3x3, padded by one. `join` gets `reduce` added before its ReLU.
CONVOLUTIONS = (("stem", 3, 16, 1), ("reduce", 16, 32, 2), ("inner", 32, 32, 1), ("join", 32, 32, 1), ("head", 32, 48, 2))


def render(rng, count, hardness=0.0):
    """`count` images u8 [n, 32, 32, 3] and their classes: one figure each on a plain ground, turned a
    little, with small blocks in front and single pixels changed; the harder, the more of each, and the smaller the
    figure. Few colours an image, so that they pack well."""
    labels = rng.integers(0, len(CLASSES), count)

    def draw(low, high):
        return rng.uniform(low, high, (count, 1, 1))

    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    angle, radius = draw(-0.2 - hardness / 10, 0.2 + hardness / 10), draw(8 - 2 * hardness, 12)
    edge, block = 12 - hardness, 3 + 0.8 * hardness
    dx, dy = x - draw(edge, SIDE - edge), y - draw(edge, SIDE - edge)
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / radius
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / radius
    far, width = np.maximum(abs(u), abs(v)), draw(0.22, 0.4)
    inside = far < 0.9
    waves = draw(2.2, 3.2)
    odd_u, odd_v = (np.floor((u + 1) * waves) % 2 == 1), (np.floor((v + 1) * waves) % 2 == 1)
    round_ = np.hypot(u, v)
    figures = (
        round_ < 0.95,
        (round_ < 1) & (round_ > 1 - 1.3 * width),
        far < 0.82,
        abs(u) + abs(v) < 1.1,
        (v < 0.75) & (abs(u) < (v + 1) * 0.55),
        (np.minimum(abs(u), abs(v)) < width) & (far < 1),
        (np.minimum(abs(u - v), abs(u + v)) < 1.4 * width) & (far < 0.9),
        inside & odd_v,
        inside & odd_u,
        inside & (odd_u ^ odd_v),
    )
    figure = np.choose(labels[:, None, None], figures)
    ground = rng.integers(0, 110, (count, 3))
    colour = ground + rng.integers(40, 146, (count, 3))
    images = np.where(figure[..., None], colour[:, None, None], ground[:, None, None])
    for _ in range(2):
        blocks = (abs(x - draw(0, SIDE)) < draw(0, block)) & (abs(y - draw(0, SIDE)) < draw(0, block))
        images = np.where(blocks[..., None], rng.integers(0, 256, (count, 1, 1, 3)), images)
    specks = rng.random((count, SIDE, SIDE)) < draw(0, 0.01 + 0.01 * hardness)
    images = np.where(specks[..., None], (ground + colour)[:, None, None] // 2, images)
    return images.clip(0, 255).astype(np.uint8), labels


def columns(x, stride):
    """Windows of `x` [n, h, w, c] as rows [n * h' * w', 9 * c]."""
    n, h, w, c = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = np.empty((n, h // stride, w // stride, 9, c), np.float32)
    for k in range(9):
        rows[:, :, :, k] = padded[:, k // 3 : k // 3 + h : stride, k % 3 : k % 3 + w : stride]
    return rows.reshape(-1, 9 * c)


def columns_back(rows, shape, stride):
    """Gradient of `columns` to its input."""
    n, h, w, c = shape
    rows = rows.reshape(n, h // stride, w // stride, 9, c)
    padded = np.zeros((n, h + 2, w + 2, c), np.float32)
    for k in range(9):
        padded[:, k // 3 : k // 3 + h : stride, k % 3 : k % 3 + w : stride] += rows[:, :, :, k]
    return padded[:, 1:-1, 1:-1]


def initial(rng):
    parameters = {}
    for name, channels, filters, _ in CONVOLUTIONS:
        parameters[name] = rng.normal(0, (2 / (9 * channels)) ** 0.5, (9 * channels, filters))
        parameters[name + ".gain"] = np.ones(filters)
        parameters[name + ".bias"] = np.zeros(filters)
    last = CONVOLUTIONS[-1][2]
    parameters["classes"] = rng.normal(0, (1 / last) ** 0.5, (last, len(CLASSES)))
    parameters["classes.bias"] = np.zeros(len(CLASSES))
    return {name: value.astype(np.float32) for name, value in parameters.items()}


def forward(parameters, pixels):
    """Logits and what `backward` needs. A convolution with a gain is normalized over the batch."""
    value, tape, skip = pixels.astype(np.float32), [], None
    for name, _, filters, stride in CONVOLUTIONS:
        rows = columns(value, stride)
        if not tape:
            rows = (rows - CENTRE) * np.float32(SCALE)
        shape = value.shape
        side = shape[1] // stride
        value, scale, mean = rows @ parameters[name], 1, 0
        if name + ".gain" in parameters:
            mean, scale = value.mean(0), 1 / np.sqrt(value.var(0) + np.float32(1e-3))
            value = (value - mean) * scale
            normal = value
            value = value * parameters[name + ".gain"]
        else:
            normal = None
        value = (value + parameters[name + ".bias"]).reshape(-1, side, side, filters)
        if name == "join":
            value += skip
        value = np.maximum(value, 0)
        if name == "reduce":
            skip = value
        tape.append((rows, shape, value, normal, mean, scale))
    mean = value.mean((1, 2))
    return mean @ parameters["classes"] + parameters["classes.bias"], (tape, mean)


def backward(parameters, tape, gradient):
    """Gradients of all parameters, from that of the logits."""
    tape, mean = tape
    found = {"classes": mean.T @ gradient, "classes.bias": gradient.sum(0)}
    n, h, w, c = tape[-1][2].shape
    flow = np.broadcast_to(((gradient @ parameters["classes"].T) / (h * w))[:, None, None], (n, h, w, c))
    skip = None
    for (name, _, filters, stride), (rows, shape, value, normal, _, scale) in zip(reversed(CONVOLUTIONS), reversed(tape)):
        if name == "reduce":
            flow = flow + skip
        flow = flow * (value > 0)
        if name == "join":
            skip = flow
        flat = flow.reshape(-1, filters)
        found[name + ".gain"], found[name + ".bias"] = (flat * normal).sum(0), flat.sum(0)
        flat = flat * parameters[name + ".gain"]
        flat = (flat - flat.mean(0) - normal * (flat * normal).mean(0)) * scale
        found[name] = rows.T @ flat
        if name != CONVOLUTIONS[0][0]:
            flow = columns_back(flat @ parameters[name].T, shape, stride)
    return found


def fold(parameters, images):
    """The same network with the normalization over `images` folded into weights and biases."""
    _, (tape, _) = forward(parameters, images)
    folded = {name: value for name, value in parameters.items() if not name.endswith(".gain")}
    for (name, *_), (*_, mean, scale) in zip(CONVOLUTIONS, tape):
        factor = scale * parameters[name + ".gain"]
        folded[name] = parameters[name] * factor
        folded[name + ".bias"] = parameters[name + ".bias"] - mean * factor
    return folded


def train(rng):
    parameters = initial(rng)
    first = {name: np.zeros_like(value) for name, value in parameters.items()}
    second = {name: np.zeros_like(value) for name, value in parameters.items()}
    for step in range(1, STEPS + 1):
        images, labels = render(rng, BATCH)
        logits, tape = forward(parameters, images)
        odds = np.exp(logits - logits.max(1, keepdims=True))
        odds /= odds.sum(1, keepdims=True)
        loss = -np.log(odds[np.arange(BATCH), labels] + 1e-9).mean()
        odds[np.arange(BATCH), labels] -= 1
        gradients = backward(parameters, tape, odds / np.float32(BATCH))
        rate = RATE * min(1, step / 20) * (0.5 + 0.5 * np.cos(np.pi * step / STEPS))
        for name, gradient in gradients.items():
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.99 * second[name] + 0.01 * gradient**2
            move = first[name] / (1 - 0.9**step) / (np.sqrt(second[name] / (1 - 0.99**step)) + 1e-8)
            parameters[name] = (parameters[name] - rate * move).astype(np.float32)
        if step % 50 == 0:
            print(f"step {step}: loss {loss:.3f}, {time.process_time():.0f} s of CPU", flush=True)
    return fold(parameters, render(rng, 256)[0])


def accuracy(parameters, images, labels):
    hits = [forward(parameters, part)[0].argmax(1) for part in np.array_split(images, max(1, len(images) // 100))]
    return float((np.concatenate(hits) == labels).mean())


# The few messages of onnx.proto that the file needs. A field is its number and an int, a float, a string, or bytes.
def message(*fields):
    def varint(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out) + bytes([value])

    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def tensor(name, value):
    dims = [(1, size) for size in value.shape]
    return message(*dims, (2, 1), (8, name), (9, np.ascontiguousarray(value, "<f4").tobytes()))


def node(operator, inputs, output, **attributes):
    fields = [(1, name) for name in inputs] + [(2, output), (3, output), (4, operator)]
    for name, value in attributes.items():
        kind = [(3, value), (20, 2)] if isinstance(value, int) else [(8, item) for item in value] + [(20, 7)]
        fields.append((5, message((1, name), *kind)))
    return message(*fields)


def described(name, *dims):
    shape = message(*((1, message((1, size))) for size in dims))
    return message((1, name), (2, message((1, message((1, 1), (2, shape))))))


def onnx(parameters):
    """The network as an ONNX file: input `image` [1, 3, 32, 32], output `logits` [1, 10]."""
    nodes, tensors, value = [], [], "image"
    for name, channels, filters, stride in CONVOLUTIONS:
        weights, bias = parameters[name], parameters[name + ".bias"]
        if value == "image":
            weights = weights * np.float32(SCALE)
            bias = bias - CENTRE * weights.sum(0)
        weights = weights.reshape(3, 3, channels, filters).transpose(3, 2, 0, 1)
        tensors += [tensor(name + ".weight", weights), tensor(name + ".bias", bias)]
        inputs = [value, name + ".weight", name + ".bias"]
        nodes.append(node("Conv", inputs, name, kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4))
        value = name
        if name == "join":
            nodes.append(node("Add", [value, "reduce.relu"], "sum"))
            value = "sum"
        nodes.append(node("Relu", [value], name + ".relu"))
        value = name + ".relu"
    nodes += [node("GlobalAveragePool", [value], "pool"), node("Flatten", ["pool"], "features", axis=1)]
    tensors += [tensor("classes.weight", parameters["classes"].T), tensor("classes.bias", parameters["classes.bias"])]
    nodes.append(node("Gemm", ["features", "classes.weight", "classes.bias"], "logits", transB=1))
    graph = message(
        *((1, item) for item in nodes),
        (2, "default"),
        *((5, item) for item in tensors),
        (11, described("image", 1, 3, SIDE, SIDE)),
        (12, described("logits", 1, len(CLASSES))),
    )
    return message((1, 8), (2, "bitweft"), (7, graph), (8, message((2, 13))))


def main():
    rng = np.random.default_rng(SEED)
    images, labels = render(rng, CALIBRATION + TEST, HARDNESS)
    held, held_labels = render(rng, HELD_OUT, HARDNESS)
    assets = Path(__file__).resolve().parent.parent / "assets"
    assets.mkdir(exist_ok=True)
    np.savez_compressed(assets / "default-images.npz", images=images, labels=labels.astype(np.uint8))
    parameters = train(rng)
    (assets / "default.onnx").write_bytes(onnx(parameters))
    weights = sum(value.size for name, value in parameters.items() if not name.endswith("bias"))
    print(f"{weights} weights; accuracy {accuracy(parameters, images[CALIBRATION:], labels[CALIBRATION:]):.4f} on the")
    print(f"{TEST} embedded test images, {accuracy(parameters, held, held_labels):.4f} on {HELD_OUT} more")
    for name in ("default.onnx", "default-images.npz"):
        print(f"assets/{name}: {(assets / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
