/**
 * A Graph as the viewer sees it: one box a node, boxes for inputs and outputs, one line a value that a node reads.
 * Weights and constants are not boxes of their own; they stand in the box that reads them.
 */
import type { Attribute, Graph, Node, Tensor, TensorType } from '../onnx/graph';
import { shapeText } from '../ops/shapes';
import type { NodeCategory } from '../protocol/graph-view';

export interface Box {
  readonly name: string;
  readonly title: string;
  readonly detail: string;
  readonly category: NodeCategory;
  /** undefined for inputs and outputs of the graph. */
  readonly node: Node | undefined;
}

export interface Line {
  /** Names of boxes. */
  readonly from: string;
  readonly to: string;
  readonly value: string;
  readonly type: string;
}

export interface Parts {
  readonly boxes: ReadonlyMap<string, Box>;
  readonly lines: readonly Line[];
}

const CATEGORY: readonly (readonly [NodeCategory, RegExp])[] = [
  [
    'layer',
    /^(Conv|ConvTranspose|ConvInteger|QLinearConv|Gemm|MatMul|MatMulInteger|MatMulNBits|QLinearMatMul|Einsum|RNN|GRU|LSTM|Attention|DeformConv)$/,
  ],
  [
    'activation',
    /(Relu|Sigmoid|Tanh|Gelu|Elu|Selu|Celu|Mish|Swish|HardSwish|Softmax|Softplus|Softsign|Hardmax|Clip|Shrink|Erf)$/,
  ],
  ['normalisation', /(Normalization|LRN)$/],
  ['pool', /(Pool|MaxUnpool)$/],
  [
    'shape',
    /^(Reshape|Transpose|Concat|Split|Slice|Gather|Squeeze|Unsqueeze|Flatten|Pad|Expand|Tile|Resize|Shape|Cast|DepthToSpace|SpaceToDepth|Identity|Constant|ConstantOfShape)/,
  ],
  ['control', /^(If|Loop|Scan)$/],
];

export function categoryOf(op: string): NodeCategory {
  return CATEGORY.find(([, pattern]) => pattern.test(op))?.[0] ?? 'other';
}

/** Names of ports cannot meet those of nodes: no node name begins with a tab. */
const input = (name: string): string => `\tin ${name}`;
const output = (name: string): string => `\tout ${name}`;

export function typeText(type: TensorType | undefined): string {
  return type === undefined ? '' : `${type.dtype} ${shapeText(type.dims)}`;
}

export function partsOf(graph: Graph, types: ReadonlyMap<string, TensorType>): Parts {
  const boxes = new Map<string, Box>();
  const lines: Line[] = [];
  const maker = new Map<string, string>();
  for (const { name, dtype, dims } of graph.inputs) {
    if (graph.initializers.has(name)) continue;
    const detail = typeText({ dtype, dims });
    boxes.set(input(name), {
      name: input(name),
      title: name,
      detail,
      category: 'port',
      node: undefined,
    });
    maker.set(name, input(name));
  }
  const shown = graph.nodes.filter(({ op }) => op !== 'Constant');
  for (const node of shown) for (const value of node.outputs) maker.set(value, node.name);
  const connect = (value: string, to: string): void => {
    const from = maker.get(value);
    if (from === undefined) return;
    lines.push({ from, to, value, type: typeText(types.get(value)) });
  };
  for (const node of shown) {
    boxes.set(node.name, {
      name: node.name,
      title: node.op,
      detail: weightsText(graph, node),
      category: categoryOf(node.op),
      node,
    });
    for (const value of new Set([...node.inputs, ...readByBodies(node)])) connect(value, node.name);
  }
  for (const { name, dtype, dims } of graph.outputs) {
    const detail = typeText(types.get(name) ?? { dtype, dims });
    boxes.set(output(name), {
      name: output(name),
      title: name,
      detail,
      category: 'port',
      node: undefined,
    });
    connect(name, output(name));
  }
  return { boxes, lines };
}

/** Shapes of the weights of a node, joined: `16×3×3×3 · 16`. Single numbers are left to the details. */
function weightsText(graph: Graph, node: Node): string {
  return node.inputs
    .flatMap((name) => {
      const dims = graph.initializers.get(name)?.dims;
      return dims !== undefined && dims.length > 0 ? [dims.join('×')] : [];
    })
    .join(' · ');
}

/** Values around the node that its subgraphs read. */
function readByBodies(node: Node): string[] {
  const read: string[] = [];
  for (const attribute of node.attributes.values()) {
    const bodies = attribute.type === 'graph' ? [attribute.value] : [];
    for (const body of bodies) {
      for (const inner of body.nodes) read.push(...inner.inputs, ...readByBodies(inner));
    }
  }
  return read;
}

const LONG_LIST = 12;

export function attributeText(attribute: Attribute): string {
  switch (attribute.type) {
    case 'tensor':
      return tensorText(attribute.value);
    case 'tensors':
      return attribute.value.map(tensorText).join(', ');
    case 'graph':
      return `a graph of ${attribute.value.nodes.length} nodes`;
    case 'graphs':
      return attribute.value.map(({ nodes }) => `a graph of ${nodes.length} nodes`).join(', ');
    case 'ints':
    case 'floats':
    case 'strings':
      return `[${listText(attribute.value)}]`;
    case 'float':
      return numberText(attribute.value);
    default:
      return String(attribute.value);
  }
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function listText(values: readonly (number | string)[]): string {
  const shown = values
    .slice(0, LONG_LIST)
    .map((value) => (typeof value === 'number' ? numberText(value) : value));
  return shown.join(', ') + (values.length > LONG_LIST ? `, … ${values.length} in all` : '');
}

export function tensorText({ dtype, dims, data }: Tensor): string {
  const values: (number | string)[] = [];
  for (let at = 0; at < Math.min(data.length, LONG_LIST); at++) {
    const value = data[at] ?? 0;
    values.push(typeof value === 'bigint' ? Number(value) : value);
  }
  const more = data.length > LONG_LIST ? ', …' : '';
  return `${dtype} ${shapeText(dims)} = ${listText(values)}${more}`;
}
