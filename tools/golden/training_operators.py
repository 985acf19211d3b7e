"""Golden files for operators of a training step, from PyTorch 2.13.0 in float64.

    python tools/golden/training_operators.py     writes tests/fixtures/golden/training-operators.json

Each case gives a call of a standard operator, the gradient of its first output, and PyTorch's output and gradients.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

OUT = Path(__file__).parents[2] / "tests" / "fixtures" / "golden" / "training-operators.json"
GENERATOR = torch.Generator().manual_seed(23)


def leaf(*shape, scale=1.0):
    value = torch.randn(shape, generator=GENERATOR, dtype=torch.float64) * scale
    return value.float().double().requires_grad_()


def pack(tensor, digits=9):
    data = [float(f"{x:.{digits}g}") for x in tensor.detach().flatten().tolist()]
    return {"dims": list(tensor.shape), "data": [int(x) if x.is_integer() else x for x in data]}


def case(name, op, attributes, inputs, output):
    dy = leaf(*output.shape).detach()
    learned = [x for x in inputs if x.requires_grad]
    gradients = iter(torch.autograd.grad(output, learned, dy))
    return {
        "name": name,
        "op": op,
        "attributes": attributes,
        "inputs": [{**pack(x), "int": not x.requires_grad} for x in inputs],
        "dy": pack(dy),
        "output": pack(output),
        "gradients": [pack(next(gradients)) if x.requires_grad else None for x in inputs],
    }


def attention(name, batch, queries, keys, heads, key_heads, size, causal):
    q = leaf(batch, heads, queries, size)
    k = leaf(batch, key_heads, keys, size)
    v = leaf(batch, key_heads, keys, size)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=heads != key_heads)
    return case(name, "Attention", {"is_causal": int(causal)}, [q, k, v], y)


def cases():
    x, scale, bias = leaf(3, 4, 10, scale=2), leaf(10), leaf(10)
    epsilon = {"epsilon": 1e-3}
    yield case("layer norm", "LayerNormalization", epsilon, [x, scale, bias], F.layer_norm(x, (10,), scale, bias, 1e-3))
    x, scale = leaf(2, 5, 3, 4, scale=2), leaf(3, 4)
    yield case("rms norm", "RMSNormalization", {"axis": 2, **epsilon}, [x, scale], F.rms_norm(x, (3, 4), scale, 1e-3))
    yield attention("attention", 2, 5, 5, 3, 3, 4, False)
    yield attention("causal attention", 2, 6, 6, 2, 2, 3, True)
    yield attention("attention with shared key heads", 1, 4, 7, 4, 2, 3, False)
    table, indices = leaf(6, 3), torch.tensor([[0, 5, 5], [2, 5, 0]])
    for name, op, attributes, function in [
        ("gelu", "Gelu", {}, F.gelu),
        ("gelu by tanh", "Gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
        ("silu", "Swish", {}, F.silu),
        ("mish", "Mish", {}, F.mish),
        ("hard swish", "HardSwish", {}, F.hardswish),
        ("softmax", "Softmax", {"axis": 1}, lambda x: F.softmax(x, 1)),
    ]:
        x = leaf(2, 3, 4, scale=3)
        yield case(name, op, attributes, [x], function(x))
    yield case("embedding", "Gather", {"axis": 0}, [table, indices], F.embedding(indices, table))


OUT.write_text(json.dumps({"torch": torch.__version__, "cases": list(cases())}) + "\n")
