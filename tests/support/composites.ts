/** PyTorch's gradients of composite layers (tools/golden/composites.py), and the graphs they belong to. */
import { differentiate } from '../../src/autodiff/differentiate';
import { GraphBuilder } from '../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../src/onnx/graph';
import type { Attribute, Graph, Tensor, ValueInfo } from '../../src/onnx/graph';
import golden from '../fixtures/golden/composites.json';

interface Packed {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

export interface Composite {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Packed>>;
  readonly weights: Readonly<Record<string, Packed>>;
  readonly projection: Packed;
  readonly output: Packed;
  readonly gradients: Readonly<Record<string, Packed>>;
}

function packs(values: object): Record<string, Packed> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

export const COMPOSITES: readonly Composite[] = golden.cases.map((each) => ({
  ...each,
  inputs: packs(each.inputs),
  weights: packs(each.weights),
  gradients: packs(each.gradients),
}));

class Layers extends GraphBuilder {
  conv(x: string, weights: readonly string[], attributes: Record<string, readonly number[]> = {}) {
    const all: [string, Attribute][] = Object.entries(attributes).map(([name, values]) => [
      name,
      name === 'group' ? attr.int(values[0] ?? 1) : attr.ints(values),
    ]);
    return this.node('Conv', [x, ...weights], Object.fromEntries(all));
  }

  norm(x: string, prefix: string, training: boolean): string {
    const inputs = [x, ...['scale', 'bias', 'mean', 'var'].map((part) => `${prefix}.${part}`)];
    const epsilon = { epsilon: attr.float(1e-3) };
    if (!training) return this.node('BatchNormalization', inputs, epsilon);
    const domain = { domain: TRAINING_DOMAIN };
    return this.nodes('BatchNormTrain', inputs, 5, epsilon, domain)[0] ?? '';
  }

  relu(x: string): string {
    return this.node('Relu', [x]);
  }

  relu6(x: string): string {
    return this.node('Clip', [x, this.scalar(0), this.scalar(6)]);
  }

  /** Several values as one vector. */
  flat(values: readonly string[]): string {
    const vectors = values.map((value) => this.node('Reshape', [value, this.ints([-1])]));
    return this.node('Concat', vectors, { axis: attr.int(0) });
  }

  recurrent(op: 'LSTM' | 'GRU'): string {
    const states = op === 'LSTM' ? ['h', 'c'] : ['h'];
    const attributes = {
      direction: attr.string('bidirectional'),
      hidden_size: attr.int(2),
      ...(op === 'GRU' && { linear_before_reset: attr.int(1) }),
    };
    const inputs = ['x', 'W', 'R', 'B', '', ...states];
    return this.flat(this.nodes(op, inputs, 1 + states.length, attributes));
  }

  attention(fused: boolean): string {
    const heads = ['query', 'key', 'value'].map((name) => {
      const wide = this.node('Reshape', [
        this.node('MatMul', ['x', name]),
        this.ints([2, 4, 2, 3]),
      ]);
      return this.node('Transpose', [wide], { perm: attr.ints([0, 2, 1, 3]) });
    });
    const y = fused
      ? this.node('Attention', heads, { is_causal: attr.int(1) })
      : this.#plain(heads);
    const joined = this.node('Transpose', [y], { perm: attr.ints([0, 2, 1, 3]) });
    return this.node('MatMul', [this.node('Reshape', [joined, this.ints([2, 4, 6])]), 'out']);
  }

  #plain([query = '', key = '', value = '']: readonly string[]): string {
    const turned = this.node('Transpose', [key], { perm: attr.ints([0, 1, 3, 2]) });
    const scores = this.node('Mul', [
      this.node('MatMul', [query, turned]),
      this.scalar(1 / Math.sqrt(3)),
    ]);
    const mask = Array.from({ length: 16 }, (_, i) => (i % 4 > Math.floor(i / 4) ? 0 : 1));
    const seen = this.constant('bool', [4, 4], mask);
    const masked = this.node('Where', [seen, scores, this.scalar(-1e9)]);
    return this.node('MatMul', [this.node('Softmax', [masked], { axis: attr.int(-1) }), value]);
  }
}

const FORWARD: Readonly<Record<string, (layers: Layers) => string>> = {
  'conv stack': (l) => {
    const x = l.relu(l.norm(l.conv('x', ['conv_0'], { pads: [1, 1, 1, 1] }), 'norm_0', true));
    const attributes = { pads: [1, 2, 1, 2], strides: [2, 1], dilations: [1, 2], group: [2] };
    return l.node('Elu', [
      l.norm(l.conv(x, ['conv_1', 'conv_1.bias'], attributes), 'norm_1', true),
    ]);
  },
  'ResNet block': (l) => {
    const pads = [1, 1, 1, 1];
    const x = l.relu(l.norm(l.conv('x', ['conv_0'], { pads, strides: [2, 2] }), 'norm_0', true));
    const long = l.norm(l.conv(x, ['conv_1'], { pads }), 'norm_1', true);
    const short = l.norm(l.conv('x', ['down'], { strides: [2, 2] }), 'norm_2', true);
    return l.node('GlobalAveragePool', [l.relu(l.node('Add', [long, short]))]);
  },
  'depthwise separable block': (l) => {
    let x = l.relu6(l.norm(l.conv('x', ['expand']), 'norm_0', false));
    x = l.conv(x, ['depth'], { pads: [1, 1, 1, 1], group: [8] });
    x = l.conv(l.relu6(l.norm(x, 'norm_1', false)), ['point']);
    x = l.node('Add', ['x', l.norm(x, 'norm_2', false)]);
    const window = { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) };
    return l.node('HardSwish', [l.node('MaxPool', [x], window)]);
  },
  'LayerNorm block': (l) => {
    const epsilon = { epsilon: attr.float(1e-4) };
    const dense = (x: string, name: string) =>
      l.node('Add', [l.node('MatMul', [x, name]), `${name}.bias`]);
    const x = l.node('LayerNormalization', ['x', 'scale', 'shift'], epsilon);
    return l.node('Add', ['x', dense(l.node('Gelu', [dense(x, 'up')]), 'down')]);
  },
  'attention block': (l) => l.attention(false),
  LSTM: (l) => l.recurrent('LSTM'),
  GRU: (l) => l.recurrent('GRU'),
};

/** The same layer written in another way; its golden numbers are those of the name without the star. */
export const VARIANTS: readonly (readonly [name: string, composite: Composite])[] = [
  ...COMPOSITES.map((each) => [each.name, each] as const),
  ...COMPOSITES.filter(({ name }) => name === 'attention block').map(
    (each) => ['attention block as one operator', each] as const,
  ),
];

function tensor({ dims, data }: Packed): Tensor {
  return { dtype: 'float32', dims, data: Float32Array.from(data) };
}

/** `output`, and `<name>/grad` of every input and weight that PyTorch has one for. */
export function gradientsGraph(
  name: string,
  composite: Composite,
): { graph: Graph; feeds: Map<string, Tensor> } {
  const layers = new Layers(name);
  const feeds = new Map<string, Tensor>();
  for (const [each, packed] of Object.entries({ ...composite.inputs, ...composite.weights })) {
    const learns = composite.gradients[each] !== undefined;
    // What is fed is no constant to an optimiser of graphs, so nothing of the backward pass is folded away.
    if (learns) {
      feeds.set(each, tensor(packed));
      layers.input(each, 'float32', packed.dims);
    } else layers.initializer(each, tensor(packed));
  }
  const make = name === composite.name ? FORWARD[name] : (l: Layers) => l.attention(true);
  if (!make) throw new Error(`There is no graph for the golden case ${name}.`);
  const output = layers.node('Identity', [make(layers)], {}, { outputs: ['output'] });
  const projection = layers.initializer('projection', tensor(composite.projection));
  const weighted = layers.node('Mul', [output, projection]);
  layers.node('ReduceSum', [weighted], { keepdims: attr.int(0) }, { outputs: ['loss'] });
  layers.output('output', 'float32', composite.output.dims);
  const wrt = Object.keys(composite.gradients);
  const { graph, gradients } = differentiate(layers.build(), { numerator: 'loss' }, wrt);
  const full = GraphBuilder.from(graph);
  const outputs: ValueInfo[] = [...graph.outputs];
  for (const [each, gradient] of gradients) {
    full.node('Identity', [gradient], {}, { outputs: [`${each}/grad`] });
    const dims = composite.gradients[each]?.dims ?? [];
    outputs.push({ name: `${each}/grad`, dtype: 'float32', dims });
  }
  return { graph: { ...full.build(), outputs }, feeds };
}

/** What PyTorch says of each output of `gradientsGraph`. */
export function expectedOf(composite: Composite): Map<string, readonly number[]> {
  return new Map([
    ['output', composite.output.data],
    ...Object.entries(composite.gradients).map(
      ([name, { data }]) => [`${name}/grad`, data] as const,
    ),
  ]);
}

/** ‖found − expected‖ / ‖expected‖, where the values are tiny over a tenth for each of them. */
export function relativeError(found: ArrayLike<number>, expected: readonly number[]): number {
  if (found.length !== expected.length) return Infinity;
  let off = 0;
  let size = 0;
  expected.forEach((value, i) => {
    off += ((found[i] ?? NaN) - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(off / Math.max(size, 1e-2 * expected.length));
}
