/**
 * Graph, or two graphs, to the picture that the page draws; and the details of one node in it. Where two are compared
 * the picture is the second graph with the removed nodes of the first in their places.
 */
import { sizeOf } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Graph, Node, TensorType } from '../onnx/graph';
import { infer } from '../ops/infer-shapes';
import type {
  Change,
  GraphPicture,
  NodeDetails,
  PictureEdge,
  PictureNode,
  PortDetails,
} from '../protocol/graph-view';
import { diffGraphs } from './diff';
import type { GraphDiff } from './diff';
import { layOut } from './layout';
import { attributeText, partsOf, tensorText, typeText } from './parts';
import type { Box, Line, Parts } from './parts';
import { relativeChange, weightDetails } from './weights';

interface Side {
  readonly graph: Graph;
  readonly types: ReadonlyMap<string, TensorType>;
  readonly parts: Parts;
}

export interface OpenedGraph {
  readonly picture: Omit<GraphPicture, 'id'>;
  details(node: number): NodeDetails;
}

/** Width of a character and of the margins, in picture units; the page draws with the same font size. */
const TITLE_CHARACTER = 8;
const DETAIL_CHARACTER = 6.4;
const MARGIN = 28;

export function openGraph(after: Graph, before: Graph | null): OpenedGraph {
  const second = side(after);
  if (before === null) {
    return pictureOf(second, null, second.parts.boxes, second.parts.lines, () => 'same');
  }
  const first = side(before);
  const diff = diffGraphs(before, after);
  const { boxes, lines, changes } = union(first.parts, second.parts, diff);
  return pictureOf(second, { first, diff }, boxes, lines, (name) => changes.get(name) ?? 'same');
}

function side(graph: Graph): Side {
  const types = knownTypes(graph);
  return { graph, types, parts: partsOf(graph, types) };
}

/** A graph that we cannot run can still be looked at: then the types are those that the file gives. */
function knownTypes(graph: Graph): ReadonlyMap<string, TensorType> {
  try {
    return infer(graph).types;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return graph.valueInfo;
  }
}

/** Names of the first graph's boxes as the picture knows them: its own, or `before:` where it was removed. */
function union(first: Parts, second: Parts, diff: GraphDiff) {
  const boxes = new Map(second.boxes);
  const changes = new Map<string, Change>();
  const placeOf = new Map<string, string>();
  for (const { before, after } of diff.pairs.values()) placeOf.set(before.name, after.name);
  for (const name of diff.added) changes.set(name, 'added');
  for (const name of diff.changed) changes.set(name, 'changed');
  for (const [name, box] of second.boxes) {
    if (!box.node && !first.boxes.has(name)) changes.set(name, 'added');
  }
  for (const [name, box] of first.boxes) {
    if (!box.node && second.boxes.has(name)) placeOf.set(name, name);
    if (placeOf.has(name)) continue;
    const own = `before:${name}`;
    placeOf.set(name, own);
    boxes.set(own, box);
    changes.set(own, 'removed');
  }
  const known = new Set(second.lines.map(({ from, to }) => `${from}\n${to}`));
  const lines = [...second.lines];
  for (const line of first.lines) {
    const from = placeOf.get(line.from) ?? '';
    const to = placeOf.get(line.to) ?? '';
    if (!known.has(`${from}\n${to}`)) lines.push({ ...line, from, to });
  }
  return { boxes, lines, changes };
}

function pictureOf(
  after: Side,
  compared: { readonly first: Side; readonly diff: GraphDiff } | null,
  boxes: ReadonlyMap<string, Box>,
  lines: readonly Line[],
  changeOf: (name: string) => Change,
): OpenedGraph {
  const names = [...boxes.keys()];
  const indexOf = new Map(names.map((name, index) => [name, index]));
  const sizes = [...boxes.values()].map(({ title, detail }) => ({
    width: Math.max(title.length * TITLE_CHARACTER, detail.length * DETAIL_CHARACTER, 44) + MARGIN,
    height: detail === '' ? 30 : 44,
  }));
  const ends = lines.map(({ from, to }) => ({
    from: indexOf.get(from) ?? 0,
    to: indexOf.get(to) ?? 0,
  }));
  const layout = layOut(sizes, ends);
  const nodes = names.map((name, index): PictureNode => {
    const { title, detail, category, node } = boxes.get(name) as Box;
    const { x, y } = layout.positions[index] ?? { x: 0, y: 0 };
    const { width, height } = sizes[index] ?? { width: 0, height: 0 };
    const change = changeOf(name);
    return { name: node?.name ?? title, title, detail, category, change, x, y, width, height };
  });
  const oldLines = new Set(compared?.first.parts.lines.map(({ value }) => value));
  const edges = lines.map(({ value, type, from, to }, index): PictureEdge => {
    const touched = [changeOf(from), changeOf(to)];
    const change = touched.includes('removed')
      ? 'removed'
      : touched.includes('added') || (compared && !oldLines.has(value))
        ? 'added'
        : 'same';
    const { from: start, to: end } = ends[index] ?? { from: 0, to: 0 };
    return { from: start, to: end, value, type, change, points: layout.bends[index] ?? [] };
  });
  const changes = { same: 0, changed: 0, added: 0, removed: 0 };
  for (const { change } of nodes) changes[change]++;
  const { graph } = after;
  return {
    picture: {
      nodes,
      edges,
      width: layout.width,
      height: layout.height,
      changes: compared ? changes : null,
      facts: {
        name: graph.name,
        opset: graph.opsets.get('') ?? 0,
        nodes: graph.nodes.length,
        weights: [...graph.initializers.values()].reduce((sum, { dims }) => sum + sizeOf(dims), 0),
        metadata: [...graph.metadata],
      },
    },
    details(index) {
      const name = names[index] ?? '';
      const box = boxes.get(name);
      if (!box) throw new AppError('viewer/node', `The picture has no node ${index}.`, { index });
      const change = changeOf(name);
      if (!box.node) return portDetails(box, change);
      if (change === 'removed' && compared)
        return nodeDetails(box.node, change, compared.first, null);
      const pair = compared?.diff.pairs.get(name);
      const old = pair && compared ? { node: pair.before, side: compared.first } : null;
      return nodeDetails(box.node, change, after, old);
    },
  };
}

function portDetails({ title, detail }: Box, change: Change): NodeDetails {
  const port = { value: title, type: detail, weight: null, moved: null };
  return { name: title, op: '', domain: '', change, attributes: [], inputs: [], outputs: [port] };
}

function nodeDetails(
  node: Node,
  change: Change,
  { graph, types }: Side,
  old: { readonly node: Node; readonly side: Side } | null,
): NodeDetails {
  const port = (value: string, index: number): PortDetails => {
    const tensor = graph.initializers.get(value);
    const type = typeText(tensor ?? types.get(value));
    if (!tensor) return { value, type, weight: null, moved: null };
    const before = old?.side.graph.initializers.get(old.node.inputs[index] ?? '');
    const shown = sizeOf(tensor.dims) <= 4 ? tensorText(tensor) : type;
    return {
      value,
      type: shown,
      weight: weightDetails(tensor),
      moved: before ? relativeChange(before, tensor) : null,
    };
  };
  const names = new Set([...node.attributes.keys(), ...(old?.node.attributes.keys() ?? [])]);
  return {
    name: node.name,
    op: node.op,
    domain: node.domain,
    change,
    attributes: [...names].map((name) => {
      const value = node.attributes.get(name);
      const before = old?.node.attributes.get(name);
      const text = value ? attributeText(value) : '–';
      const oldText = before ? attributeText(before) : '–';
      return old && text !== oldText
        ? { name, value: text, before: oldText }
        : { name, value: text };
    }),
    inputs: node.inputs.flatMap((value, index) => (value === '' ? [] : [port(value, index)])),
    outputs: node.outputs.filter((value) => value !== '').map(port),
  };
}
