"""Golden files for the gradients of composite layers, from PyTorch 2.13.0 in float64.

    python tools/golden/composites.py     writes tests/fixtures/golden/composites.json

Each case gives inputs, weights (in ONNX's layout), a projection of the output, the output, and the gradient of
sum(output * projection) for every input and weight. tests/support/composites.ts builds the graphs they belong to.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

OUT = Path(__file__).parents[2] / "tests" / "fixtures" / "golden" / "composites.json"


def single(tensor):
    """Rounded to float32, kept as float64: what both sides can hold exactly."""
    return tensor.float().double()


def pack(tensor, digits=8):
    data = [float(f"{x:.{digits}g}") for x in tensor.detach().flatten().tolist()]
    return {"dims": list(tensor.shape), "data": [int(x) if x.is_integer() else x for x in data]}


def leaf(*dims, scale=1.0, shift=0.0):
    return single(torch.randn(*dims) * scale + shift).requires_grad_()


def norm(channels):
    return {
        "scale": leaf(channels, scale=0.3, shift=1),
        "bias": leaf(channels, scale=0.3),
        "mean": single(torch.randn(channels) * 0.2),
        "var": single(torch.rand(channels) + 0.5),
    }


def normed(x, parts, training):
    """Running statistics only matter where they are used; their update is tested with whole steps."""
    mean, var = (None, None) if training else (parts["mean"], parts["var"])
    return F.batch_norm(x, mean, var, parts["scale"], parts["bias"], training, eps=1e-3)


def named(prefix, parts):
    return {f"{prefix}.{name}": value for name, value in parts.items()}


def conv_stack():
    w = {"conv_0": leaf(4, 2, 3, 3, scale=0.4), "conv_1": leaf(6, 2, 3, 3, scale=0.4)}
    bias, n0, n1 = leaf(6, scale=0.3), norm(4), norm(6)
    x = leaf(3, 2, 7, 6)
    y = F.relu(normed(F.conv2d(x, w["conv_0"], padding=1), n0, True))
    y = F.conv2d(y, w["conv_1"], bias, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
    y = F.elu(normed(y, n1, True))
    weights = {**w, "conv_1.bias": bias, **named("norm_0", n0), **named("norm_1", n1)}
    return {"x": x}, weights, y


def resnet_block():
    x = leaf(2, 3, 6, 6)
    w = {
        "conv_0": leaf(5, 3, 3, 3, scale=0.3),
        "conv_1": leaf(5, 5, 3, 3, scale=0.3),
        "down": leaf(5, 3, 1, 1, scale=0.5),
    }
    norms = [norm(5), norm(5), norm(5)]
    y = F.relu(normed(F.conv2d(x, w["conv_0"], stride=2, padding=1), norms[0], True))
    y = normed(F.conv2d(y, w["conv_1"], padding=1), norms[1], True)
    y = F.relu(y + normed(F.conv2d(x, w["down"], stride=2), norms[2], True))
    y = F.adaptive_avg_pool2d(y, 1)
    weights = {**w}
    for index, parts in enumerate(norms):
        weights.update(named(f"norm_{index}", parts))
    return {"x": x}, weights, y


def separable_block():
    x = leaf(2, 4, 6, 5, scale=3)
    w = {"expand": leaf(8, 4, 1, 1), "depth": leaf(8, 1, 3, 3), "point": leaf(4, 8, 1, 1, scale=0.3)}
    n0, n1, n2 = norm(8), norm(8), norm(4)
    y = F.relu6(normed(F.conv2d(x, w["expand"]), n0, False))
    y = F.relu6(normed(F.conv2d(y, w["depth"], padding=1, groups=8), n1, False))
    y = x + normed(F.conv2d(y, w["point"]), n2, False)
    y = F.hardswish(F.max_pool2d(y, 2, 2, ceil_mode=False))
    weights = {**w, **named("norm_0", n0), **named("norm_1", n1), **named("norm_2", n2)}
    return {"x": x}, weights, y


def layer_norm_block():
    x = leaf(2, 5, 6)
    w = {
        "scale": leaf(6, scale=0.3, shift=1),
        "shift": leaf(6, scale=0.3),
        "up": leaf(6, 12, scale=0.4),
        "up.bias": leaf(12, scale=0.3),
        "down": leaf(12, 6, scale=0.4),
        "down.bias": leaf(6, scale=0.3),
    }
    y = F.layer_norm(x, [6], w["scale"], w["shift"], eps=1e-4)
    y = F.gelu(y @ w["up"] + w["up.bias"])
    return {"x": x}, w, x + (y @ w["down"] + w["down.bias"])


def attention_block():
    """Causal self-attention of two heads, with a weight for each of query, key and value."""
    rows, steps, width, heads = 2, 4, 6, 2
    x = leaf(rows, steps, width)
    w = {name: leaf(width, width, scale=0.5) for name in ["query", "key", "value", "out"]}

    def split(name):
        return (x @ w[name]).reshape(rows, steps, heads, width // heads).transpose(1, 2)

    y = F.scaled_dot_product_attention(split("query"), split("key"), split("value"), is_causal=True)
    return {"x": x}, w, y.transpose(1, 2).reshape(rows, steps, width) @ w["out"]


def grouped(tensor, order, size):
    """The gates of the leading axis in another order."""
    parts = tensor.split(size)
    return torch.cat([parts[index] for index in order])


def recurrent(kind):
    """Two directions with initial states; PyTorch's gates are i f g o and r z n, ONNX's i o f c and z r h."""
    steps, rows, width, size = 4, 2, 3, 2
    order = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}[kind]
    gates = len(order)
    x, h = leaf(steps, rows, width), leaf(2, rows, size)
    c = leaf(2, rows, size)
    layer = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(width, size, bidirectional=True)
    layer = layer.double()
    # The layer's own parameters are made from ours, so that gradients arrive in ONNX's order.
    w = leaf(2, gates * size, width, scale=0.6)
    r = leaf(2, gates * size, size, scale=0.6)
    b = leaf(2, 2 * gates * size, scale=0.4)
    back = [order.index(index) for index in range(gates)]
    made = {}
    for direction, suffix in enumerate(["l0", "l0_reverse"]):
        made[f"weight_ih_{suffix}"] = grouped(w[direction], back, size)
        made[f"weight_hh_{suffix}"] = grouped(r[direction], back, size)
        made[f"bias_ih_{suffix}"] = grouped(b[direction][: gates * size], back, size)
        made[f"bias_hh_{suffix}"] = grouped(b[direction][gates * size :], back, size)
    inputs = {"x": x, "h": h, **({"c": c} if kind == "lstm" else {})}
    state = (h, c) if kind == "lstm" else h
    y, last = torch.func.functional_call(layer, made, (x, state))
    # ONNX gives the directions an axis of their own; the last states count too.
    y = y.reshape(steps, rows, 2, size).transpose(1, 2)
    ends = list(last) if kind == "lstm" else [last]
    return inputs, {"W": w, "R": r, "B": b}, torch.cat([y.flatten()] + [end.flatten() for end in ends])


CASES = {
    "conv stack": conv_stack,
    "ResNet block": resnet_block,
    "depthwise separable block": separable_block,
    "LayerNorm block": layer_norm_block,
    "attention block": attention_block,
    "LSTM": lambda: recurrent("lstm"),
    "GRU": lambda: recurrent("gru"),
}


def case(name, make):
    inputs, weights, y = make()
    projection = single(torch.randn_like(y))
    learned = {k: v for k, v in {**inputs, **weights}.items() if v.requires_grad}
    gradients = torch.autograd.grad((y * projection).sum(), list(learned.values()))
    return {
        "name": name,
        "inputs": {k: pack(v) for k, v in inputs.items()},
        "weights": {k: pack(v) for k, v in weights.items()},
        "projection": pack(projection),
        "output": pack(y),
        "gradients": {k: pack(v) for k, v in zip(learned, gradients)},
    }


torch.manual_seed(17)
cases = [case(name, make) for name, make in CASES.items()]
OUT.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")))
print(f"{OUT.stat().st_size} bytes")
