"""Small models in old and new forms, with what onnxruntime computes, for the tests of our reader.

    python tools/golden/onnx_models.py        (onnx 1.23, onnxruntime 1.31, torch 2.13)

Writes tests/fixtures/onnx/old/*.onnx with old.json (inputs and outputs), and tests/fixtures/onnx/exported/*.onnx with
exported.json: the shape of every value for several sizes of the open axes.
"""
import json
import os

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROOT = "tests/fixtures/onnx"
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
rng = np.random.default_rng(3)


def uniform(*shape):
    return np.round(rng.uniform(-2, 2, shape), 3).astype(np.float32)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def info(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def weights(**arrays):
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]


def model(opset, nodes, feeds, outputs=("y",), initializers=(), functions=(), domains=(), ir=None):
    types = {"float32": FLOAT, "int64": INT64, "bool": BOOL}
    inputs = [info(name, list(value.shape), types[str(value.dtype)]) for name, value in feeds.items()]
    outs = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph(nodes, "old", inputs, outs, list(initializers))
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(name, 1) for name in domains]
    made = helper.make_model(graph, opset_imports=imports, functions=list(functions), producer_name="golden")
    made.ir_version = ir or (3 if opset < 9 else 4 if opset < 10 else 8 if opset < 21 else 10)
    if functions:
        made.ir_version = max(made.ir_version, 8)
    if made.ir_version < 4:  # then weights are inputs as well
        for weight in initializers:
            made.graph.input.append(info(weight.name, list(weight.dims), weight.data_type))
    # Output types as onnx itself infers them; what it leaves open stays open. It does not look into functions.
    if functions:
        known = [info(name, None) for name in outputs]
    else:
        known = onnx.shape_inference.infer_shapes(made).graph.output
    del made.graph.output[:]
    made.graph.output.extend(known)
    return made, feeds


X3 = {"x": uniform(2, 3, 4)}
PICTURE = {"x": uniform(1, 2, 3, 4)}


def functions():
    """scaled(x, bias?) = leaky(alpha) * factor + bias, calls another function, has defaults and an optional input."""
    leaky = helper.make_function(
        "local", "Leaky", ["a"], ["b"],
        [with_reference(node("LeakyRelu", ["a"], ["b"]), "alpha", "slope", onnx.AttributeProto.FLOAT)],
        [helper.make_opsetid("", 17)], ["slope"],
    )
    inner = node("Leaky", ["x"], ["inner"], domain="local", name="call")
    inner.attribute.append(reference("slope", "slope", onnx.AttributeProto.FLOAT))
    constant = node("Constant", [], ["factor"])
    constant.attribute.append(reference("value_float", "factor", onnx.AttributeProto.FLOAT))
    scaled = helper.make_function(
        "local", "Scaled", ["x", "low"], ["y", "same"],
        [inner, constant, node("Mul", ["inner", "factor"], ["product"]),
         node("Clip", ["product", "low"], ["y"]), node("Identity", ["x"], ["same"])],
        [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)],
        ["slope"], [helper.make_attribute("factor", 2.0)],
    )
    nodes = [
        node("Scaled", ["x"], ["a", ""], domain="local", name="first", slope=0.5),
        node("Scaled", ["a", "low"], ["y", "s"], domain="local", name="second", slope=0.1, factor=3.0),
        node("Add", ["y", "s"], ["z"]),
    ]
    return model(17, nodes, X3, ("y", "z"), weights(low=np.float32(-0.25)), [leaky, scaled], ["local"])


def reference(name, to, kind):
    attribute = onnx.AttributeProto()
    attribute.name, attribute.ref_attr_name, attribute.type = name, to, kind
    return attribute


def with_reference(made, name, to, kind):
    made.attribute.append(reference(name, to, kind))
    return made


def branches(opset):
    """If whose bodies are in the old form, read a value from outside and have untyped outputs."""
    def body(name, op):
        return helper.make_graph(
            [node("Squeeze", ["wide"], ["s"], axes=[1]), node(op, ["s"], ["r"])],
            name, [], [helper.make_tensor_value_info("r", FLOAT, None)],
        )
    nodes = [node("Unsqueeze", ["x"], ["wide"], axes=[1]),
             node("If", ["c"], ["y"], then_branch=body("then", "Neg"), else_branch=body("else", "Abs"))]
    return model(opset, nodes, {"x": uniform(2, 3), "c": np.array(True)})


def norm(opset, **attributes):
    p = weights(s=uniform(2), b=uniform(2), m=uniform(2), v=np.abs(uniform(2)) + 0.5)
    return model(opset, [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], **attributes)], PICTURE, ("y",), p)


def old_models():
    ints = lambda *values: np.array(values, dtype=np.int64)
    return {
        "squeeze-11": model(11, [node("Unsqueeze", ["x"], ["u"], axes=[0, 2]), node("Squeeze", ["u"], ["y"], axes=[2])], X3),
        "reduce-12": model(12, [node("ReduceSum", ["x"], ["y"], axes=[1], keepdims=0), node("ReduceMean", ["x"], ["z"], axes=[-1]),
                                node("ReduceL2", ["x"], ["w"])], X3, ("y", "z", "w")),
        "slice-9": model(9, [node("Slice", ["x"], ["y"], starts=[0, -3], ends=[2, 1000], axes=[1, 2])], X3),
        "clip-10": model(10, [node("Clip", ["x"], ["y"], min=-0.5), node("Clip", ["x"], ["z"], min=-1.0, max=1.0)], X3, ("y", "z")),
        "pad-10": model(10, [node("Pad", ["x"], ["y"], pads=[0, 1, 0, 0, 0, 2], value=1.5), node("Pad", ["x"], ["z"], mode="reflect", pads=[0, 0, 1, 0, 0, 1])], X3, ("y", "z")),
        "split-12": model(12, [node("Split", ["x"], ["y", "z"], axis=2, split=[1, 3]), node("Split", ["x"], ["v", "w"], axis=2)], X3, ("y", "z", "v", "w")),
        "topk-9": model(9, [node("TopK", ["x"], ["y", "i"], axis=2, k=2)], X3, ("y", "i")),
        "upsample-7": model(7, [node("Upsample", ["x"], ["y"], mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])], PICTURE),
        "upsample-9": model(9, [node("Upsample", ["x", "k"], ["y"], mode="linear")], PICTURE, ("y",), weights(k=np.array([1, 1, 2, 2], np.float32))),
        "resize-10": model(10, [node("Resize", ["x", "k"], ["y"], mode="nearest")], PICTURE, ("y",), weights(k=np.array([1, 1, 2, 3], np.float32))),
        "resize-11": model(11, [node("Resize", ["x", "roi", "none", "sizes"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")],
                           PICTURE, ("y",), weights(roi=np.zeros(0, np.float32), none=np.zeros(0, np.float32), sizes=ints(1, 2, 5, 7))),
        "softmax-11": model(11, [node("Softmax", ["x"], ["y"], axis=1), node("LogSoftmax", ["x"], ["z"]), node("Hardmax", ["x"], ["h"], axis=0),
                                 node("Softmax", ["x"], ["last"], axis=2)], X3, ("y", "z", "h", "last")),
        "batchnorm-7": norm(7, epsilon=0.01),
        "batchnorm-9": norm(9),
        "dropout-7": model(7, [node("Dropout", ["x"], ["d"], ratio=0.3), node("Relu", ["d"], ["y"])], X3),
        "constants-13": model(13, [node("Constant", [], ["f"], value_float=0.5), node("Constant", [], ["s"], value_ints=[3, 8]),
                                   node("Mul", ["x", "f"], ["m"]), node("Reshape", ["m", "s"], ["y"])], X3),
        "groupnorm-18": model(18, [node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)], {"x": uniform(2, 4, 3)},
                              ("y",), weights(s=uniform(2), b=uniform(2))),
        "scatter-9": model(9, [node("Scatter", ["x", "i", "u"], ["y"], axis=2)], X3, ("y",), weights(i=np.array([[[3, 0]]]), u=uniform(1, 1, 2))),
        "gridsample-16": model(16, [node("GridSample", ["x", "g"], ["y"], mode="bilinear")], PICTURE, ("y",), weights(g=uniform(1, 2, 2, 2) / 2)),
        "swish-24": model(24, [node("Swish", ["x"], ["y"], alpha=1.5)], X3, ir=10),
        "if-11": branches(11),
        "functions-17": functions(),
        "gemm-7": model(7, [node("Gemm", ["x", "w", "b"], ["g"], transB=1, alpha=0.5), node("Softmax", ["g"], ["y"])],
                        {"x": uniform(2, 3)}, ("y",), weights(w=uniform(4, 3), b=uniform(4))),
    }


def plain(array):
    return {"dtype": str(array.dtype), "dims": list(array.shape), "data": [float(v) for v in array.reshape(-1)]}


def run(made, feeds, names):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(made.SerializeToString(), options)
    return session.run(names, feeds)


def swish(x, alpha):
    return (x / (1 + np.exp(-alpha * x.astype(np.float64)))).astype(np.float32)


def write_old():
    os.makedirs(f"{ROOT}/old", exist_ok=True)
    golden = {}
    for name, (made, feeds) in old_models().items():
        outputs = [value.name for value in made.graph.output]
        # onnxruntime has no opset 24 yet: the one line of its definition.
        results = [swish(feeds["x"], 1.5)] if name == "swish-24" else run(made, feeds, outputs)
        onnx.save(made, f"{ROOT}/old/{name}.onnx")
        golden[name] = {"inputs": {k: plain(v) for k, v in feeds.items()}, "outputs": {k: plain(v) for k, v in zip(outputs, results)}}
    with open(f"{ROOT}/old.json", "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


# --- models as PyTorch exports them -----------------------------------------------------------------------------------

def torch_models():
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Pictures(nn.Module):
        """Strided convolutions, a pool, adaptive average, view by size(0)."""

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 6, 3)
            self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(6, 5)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.norm(self.a(x))), 2)
            x = F.relu(self.b(x)).mean((2, 3))
            return F.log_softmax(self.head(x.view(x.size(0), -1)), dim=1)

    class Attend(nn.Module):
        """Multi-head attention written with view and transpose, a causal mask of the sequence's length."""

        def __init__(self):
            super().__init__()
            self.embed, self.qkv, self.out = nn.Embedding(11, 8), nn.Linear(8, 24), nn.Linear(8, 8)
            self.norm = nn.LayerNorm(8)

        def forward(self, ids):
            b, t = ids.shape
            x = self.norm(self.embed(ids))
            q, k, v = self.qkv(x).view(b, t, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
            mask = torch.ones(t, t, dtype=torch.bool).tril()
            scores = (q @ k.transpose(-1, -2) / 2).masked_fill(~mask, -1e4)
            y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, 8)
            return self.out(y + x)[:, -1]

    class Decode(nn.Module):
        """An encoder and decoder: interpolates to the size of the skip, concatenates, pads."""

        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(6, 3, 1)

        def forward(self, x):
            y = F.relu(self.down(x))
            y = F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=False)
            y = self.up(torch.cat([y, x], dim=1))
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            return F.pad(y, (1, 2, 0, 1)).flatten(2).transpose(1, 2)

    class Tokens(nn.Module):
        """Patches, a class token expanded to the batch, chunks."""

        def __init__(self):
            super().__init__()
            self.patch, self.token = nn.Conv2d(3, 8, 4, stride=4), nn.Parameter(torch.randn(1, 1, 8))
            self.gate = nn.Linear(8, 16)

        def forward(self, x):
            y = self.patch(x).flatten(2).transpose(1, 2)
            y = torch.cat([self.token.expand(x.shape[0], -1, -1), y], dim=1)
            a, b = self.gate(y).chunk(2, dim=-1)
            return (a * b.sigmoid()).reshape(x.shape[0], -1, 4).mean(1)

    torch.manual_seed(1)
    picture = lambda n, c, h, w: {"x": torch.randn(n, c, h, w)}
    ids = lambda b, t: {"ids": torch.randint(0, 11, (b, t))}
    return {
        "pictures": (Pictures(), lambda s: picture(s["batch"], 3, 18, 20), {"x": {0: "batch"}}, [{"batch": 1}, {"batch": 5}], 12),
        "attend": (Attend(), lambda s: ids(s["batch"], s["time"]), {"ids": {0: "batch", 1: "time"}}, [{"batch": 2, "time": 7}, {"batch": 3, "time": 4}], 17),
        "decode": (Decode(), lambda s: picture(s["batch"], 2, s["height"], s["width"]), {"x": {0: "batch", 2: "height", 3: "width"}},
                   [{"batch": 2, "height": 9, "width": 8}, {"batch": 1, "height": 6, "width": 11}], 17),
        "tokens": (Tokens(), lambda s: picture(s["batch"], 3, s["height"], 8), {"x": {0: "batch", 2: "height"}},
                   [{"batch": 2, "height": 12}, {"batch": 3, "height": 17}], 18),
    }


def shapes(made, feeds):
    """The shape of every value in the main graph, by making all of them outputs."""
    every = onnx.ModelProto()
    every.CopyFrom(made)
    del every.graph.output[:]
    names = [name for made_by in every.graph.node for name in made_by.output if name]
    every.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return {name: [str(v.dtype), list(v.shape)] for name, v in zip(names, run(every, feeds, names))}


def write_exported():
    import torch

    os.makedirs(f"{ROOT}/exported", exist_ok=True)
    golden = {}
    for name, (net, make, axes, sizes, opset) in torch_models().items():
        net.eval()
        for dynamo in (False, True):
            example = make(sizes[0])
            path = f"{ROOT}/exported/{name}-{'dynamo' if dynamo else 'script'}.onnx"
            keys = list(example)
            common = dict(input_names=keys, output_names=["y"], opset_version=max(opset, 18) if dynamo else opset, dynamo=dynamo)
            if dynamo:
                dims = tuple({axis: torch.export.Dim(label, min=2) if label != "batch" else torch.export.Dim(label) for axis, label in of.items()} for of in axes.values())
                torch.onnx.export(net, tuple(make({**sizes[-1], "batch": 3}).values()), path, dynamic_shapes=dims, external_data=False, **common)
            else:
                torch.onnx.export(net, tuple(example.values()), path, dynamic_axes=axes, **common)
            made = onnx.load(path)
            for one in made.graph.node:  # the story of each node, longer than the node
                del one.metadata_props[:]
                one.doc_string = ""
            del made.graph.metadata_props[:]
            for value in made.graph.value_info:
                del value.metadata_props[:]
            onnx.save(made, path)
            cases = []
            for size in sizes:
                feeds = {k: v.numpy() for k, v in make(size).items()}
                cases.append({"sizes": size, "shapes": shapes(made, feeds)})
            golden[os.path.basename(path)[:-5]] = cases
    with open(f"{ROOT}/exported.json", "w") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    write_old()
    write_exported()
