"""Golden files for whole training steps, from PyTorch 2.13.0 in float64.

    python tools/golden/training.py     writes tests/fixtures/golden/training.json

Each case gives initial weights, the feeds of three steps and what PyTorch's autograd and optimisers make of
them. Two things PyTorch does otherwise are done by hand: running variances are biased, as ONNX says, and clipping
divides by the norm itself, without an epsilon.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

OUT = Path(__file__).parents[2] / "tests" / "fixtures" / "golden" / "training.json"
STEPS = 3
RATES = [0.05, 0.04, 0.02]
BN_MOMENTUM = 0.8
BN_EPSILON = 1e-3


def single(tensor):
    """Rounded to float32, kept as float64: what both sides can hold exactly."""
    return tensor.float().double()


def pack(tensor, digits=7):
    data = [float(f"{x:.{digits}g}") for x in tensor.detach().flatten().tolist()]
    return {"dims": list(tensor.shape), "data": [int(x) if x.is_integer() else x for x in data]}


def rows(loss, logits, labels):
    if loss == "softmax-ce":
        return F.cross_entropy(logits, labels, reduction="none")
    if loss == "bce":
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.double(), reduction="none")
    if loss == "mse":
        return F.mse_loss(logits, labels, reduction="none")[:, 0]
    return F.huber_loss(logits, labels, reduction="none", delta=1.0)[:, 0]


def philox(counter, key):
    """Philox 4x32-10: Salmon, Moraes, Dror & Shaw 2011."""
    a, b, c, d = counter
    k, l = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = second >> 32 ^ b ^ k, second % 2**32, first >> 32 ^ d ^ l, first % 2**32
        k, l = (k + 0x9E3779B9) % 2**32, (l + 0xBB67AE85) % 2**32
    return a, b, c, d


def fnv(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def dropout_mask(key, rows, size, name):
    """Half of the elements 0, the others 2."""
    low, high, step, part = (int(word) for word in key)
    words = [
        [word for block in range(-(-size // 4)) for word in philox((block, part * rows + row, step, name), (low, high))]
        for row in range(rows)
    ]
    return torch.tensor([[2.0 if word >= 2**31 else 0.0 for word in row[:size]] for row in words], dtype=torch.float64)


def mlp(weights, feed, state):
    hidden = torch.relu(feed["features"] @ weights["dense_0.weight"].T + weights["dense_0.bias"])
    if "dropout_key" in feed:
        hidden = hidden * dropout_mask(feed["dropout_key"], *hidden.shape, fnv("dropout:drop"))
    hidden = torch.tanh(hidden @ weights["dense_1.weight"] + weights["dense_1.bias"])
    return hidden @ weights["dense_2.weight"].T + weights["dense_2.bias"]


def cnn(weights, feed, state):
    x = F.conv2d(feed["features"], weights["conv_0.weight"], padding=1)
    mean = x.mean(dim=(0, 2, 3))
    variance = x.var(dim=(0, 2, 3), unbiased=False)
    for name, value in (("running_mean", mean), ("running_var", variance)):
        key = f"norm_0.{name}"
        state[key] = BN_MOMENTUM * state[key] + (1 - BN_MOMENTUM) * value.detach()
    x = F.batch_norm(x, None, None, weights["norm_0.scale"], weights["norm_0.bias"], True, eps=BN_EPSILON)
    x = F.max_pool2d(torch.relu(x), 2)
    x = F.conv2d(x, weights["conv_1.weight"], weights["conv_1.bias"], stride=2, padding=1)
    x = F.avg_pool2d(F.gelu(x), 2, stride=1)
    return x.mean(dim=(2, 3)) @ weights["dense_0.weight"].T + weights["dense_0.bias"]


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv 2302.06675, algorithm 2; PyTorch has none."""

    def __init__(self, groups, lr, betas):
        super().__init__(groups, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for w in group["params"]:
                m = self.state[w].setdefault("exp_avg", torch.zeros_like(w))
                update = torch.sign(torch.lerp(w.grad, m, first))
                w.sub_(group["lr"] * (update + group["weight_decay"] * w))
                m.copy_(torch.lerp(w.grad, m, second))


def optimiser_of(kind, weights):
    matrices = [w for w in weights.values() if w.dim() >= 2]
    vectors = [w for w in weights.values() if w.dim() < 2]
    if kind == "sgd":
        return torch.optim.SGD(weights.values(), lr=1, momentum=0.9)
    if kind == "adam":
        return torch.optim.Adam(weights.values(), lr=1, betas=(0.85, 0.99), eps=1e-6)
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": vectors, "weight_decay": 0.0}]
    if kind == "lion":
        return Lion(groups, lr=1, betas=(0.85, 0.95))
    return torch.optim.AdamW(groups, lr=1, betas=(0.85, 0.99), eps=1e-6)


def case(name, model, shapes, statistics, feeds, loss, kind, clip):
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    weights = {
        key: single(torch.randn(shape, generator=generator, dtype=torch.float64) * 0.5).requires_grad_()
        for key, shape in shapes.items()
    }
    if "norm_0.scale" in weights:
        weights["norm_0.scale"].data.add_(1)
    state = {key: value.clone() for key, value in statistics.items()}
    initial = {key: pack(value, 9) for key, value in {**weights, **state}.items()}
    optimiser = optimiser_of(kind, weights)
    expected = []
    for step in range(STEPS):
        feed = feeds(generator, step + 1)
        optimiser.zero_grad()
        row = rows(loss, model(weights, feed, state), feed["labels"])
        numerator = (row * feed["sample_weight"]).sum()
        denominator = feed["sample_weight"].sum()
        (numerator / denominator).backward()
        gradients = {key: pack(w.grad) for key, w in weights.items()}
        norm = torch.sqrt(sum((w.grad**2).sum() for w in weights.values()))
        if clip > 0 and norm > clip:
            for w in weights.values():
                w.grad.mul_(clip / norm)
        for group in optimiser.param_groups:
            group["lr"] = RATES[step]
        optimiser.step()
        after = {key: pack(value) for key, value in {**weights, **state}.items()}
        for key, w in weights.items():
            held = optimiser.state[w]
            after[f"{key}/m"] = pack(held["momentum_buffer"] if kind == "sgd" else held["exp_avg"])
            if kind in ("adam", "adamw"):
                after[f"{key}/v"] = pack(held["exp_avg_sq"])
        expected.append(
            {
                "feeds": {key: pack(value, 9) for key, value in feed.items()},
                "learning_rate": RATES[step],
                "row_loss": pack(row),
                "loss_numerator": numerator.item(),
                "loss_denominator": denominator.item(),
                "grad_norm": norm.item(),
                "gradients": gradients,
                "state": after,
            }
        )
    return {
        "name": name,
        "model": model.__name__,
        "loss": loss,
        "optimiser": kind,
        "clip_norm": clip,
        "initial": initial,
        "steps": expected,
    }


def mlp_case(name, loss, kind, clip, outputs, dropout=True):
    batch = 6
    shapes = {
        "dense_0.weight": (7, 5),
        "dense_0.bias": (7,),
        "dense_1.weight": (7, 4),
        "dense_1.bias": (4,),
        "dense_2.weight": (outputs, 4),
        "dense_2.bias": (outputs,),
    }

    def feeds(generator, step):
        feed = {"features": single(torch.randn(batch, 5, generator=generator, dtype=torch.float64))}
        if loss in ("mse", "huber"):
            feed["labels"] = single(2 * torch.randn(batch, 1, generator=generator, dtype=torch.float64))
        else:
            feed["labels"] = torch.randint(max(outputs, 2), (batch,), generator=generator)
        feed["sample_weight"] = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.25, 0.0], dtype=torch.float64)
        if dropout:
            feed["dropout_key"] = torch.tensor([1234567890, 3, step, 0])
        return feed

    return case(name, mlp, shapes, {}, feeds, loss, kind, clip)


def cnn_case(name, kind, clip):
    shapes = {
        "conv_0.weight": (3, 2, 3, 3),
        # no bias: the norm would take it away, and its gradient would be rounding noise
        "norm_0.scale": (3,),
        "norm_0.bias": (3,),
        "conv_1.weight": (4, 3, 3, 3),
        "conv_1.bias": (4,),
        "dense_0.weight": (3, 4),
        "dense_0.bias": (3,),
    }
    statistics = {
        "norm_0.running_mean": torch.tensor([0.25, -0.5, 0.0], dtype=torch.float64),
        "norm_0.running_var": torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64),
    }

    def feeds(generator, step):
        return {
            "features": single(torch.randn(4, 2, 8, 6, generator=generator, dtype=torch.float64)),
            "labels": torch.randint(3, (4,), generator=generator),
            "sample_weight": torch.tensor([1.0, 1.5, 0.5, 1.0], dtype=torch.float64),
        }

    return case(name, cnn, shapes, statistics, feeds, "softmax-ce", kind, clip)


CASES = [
    mlp_case("mlp sgd", "softmax-ce", "sgd", 0, 3),
    mlp_case("mlp sgd clipped", "softmax-ce", "sgd", 0.2, 3),
    mlp_case("mlp adam", "softmax-ce", "adam", 0, 3),
    mlp_case("mlp adamw clipped", "softmax-ce", "adamw", 0.1, 3),
    mlp_case("mlp lion clipped", "softmax-ce", "lion", 0.1, 3),
    mlp_case("mlp bce", "bce", "adam", 0, 1),
    mlp_case("mlp mse", "mse", "adamw", 0, 1, dropout=False),
    mlp_case("mlp huber", "huber", "sgd", 1.5, 1),
    cnn_case("cnn sgd", "sgd", 0),
    cnn_case("cnn adamw", "adamw", 0.5),
]

if __name__ == "__main__":
    OUT.parent.mkdir(parents=True, exist_ok=True)
    text = {"source": f"PyTorch {torch.__version__.split('+')[0]}, float64", "cases": CASES}
    OUT.write_text(json.dumps(text, separators=(",", ":")) + "\n")
    print(f"{OUT}: {OUT.stat().st_size} bytes")
