/**
 * Structural rules that every Graph keeps, whoever made it: unique names, known inputs, topological order,
 * existing outputs, opset imports. Types and shapes are the business of shape inference, not of this file.
 */
import { BYTES_PER_ELEMENT, sizeOf, storedLength } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Graph, Node, Tensor } from './graph';
import { subgraphsOf } from './subgraphs';

/** What is seen from inside a subgraph: values made so far, and what is seen around it. */
interface Known {
  readonly own: ReadonlyMap<string, string>;
  readonly outer: Known | null;
}

function sees(known: Known | null, name: string): boolean {
  for (let at = known; at !== null; at = at.outer) if (at.own.has(name)) return true;
  return false;
}

/** Throws the first broken rule as `onnx/…` with node, op, port, expected and found in `data`. */
export function checkGraph(graph: Graph): void {
  checkWithin(graph, null, graph.opsets, false);
}

function checkWithin(
  graph: Graph,
  outer: Known | null,
  opsets: ReadonlyMap<string, number>,
  isBody: boolean,
): void {
  const own = new Map<string, string>();
  const isKnown = (name: string): boolean => own.has(name) || sees(outer, name);
  const define = (name: string, by: string, at: object = {}): void => {
    if (name === '') {
      throw new AppError('onnx/no-name', `${by} has no name.`, { by });
    }
    const other = own.get(name);
    if (other !== undefined) {
      throw new AppError(
        'onnx/duplicate-name',
        `The value "${name}" is defined twice: by ${other} and by ${by}. Names must be unique.`,
        { name, first: other, second: by, expected: 'a name of its own', found: name, ...at },
      );
    }
    own.set(name, by);
  };

  for (const [index, input] of graph.inputs.entries()) define(input.name, `graph input ${index}`);
  for (const [name, tensor] of graph.initializers) {
    define(name, `initializer "${name}"`);
    checkTensor(name, tensor);
  }

  const nodeNames = new Set<string>();
  for (const node of graph.nodes) {
    const { name: at, op } = node;
    if (nodeNames.has(at)) {
      throw new AppError(
        'onnx/duplicate-name',
        `Two nodes are called "${at}". Node names must be unique.`,
        { name: at, node: at, op, expected: 'a name of its own', found: at },
      );
    }
    nodeNames.add(at);
    const domain = node.domain || 'ai.onnx';
    if (!opsets.has(node.domain)) {
      throw new AppError(
        'onnx/no-opset',
        `Node "${at}" (${op}) is of domain "${domain}", but the model imports no opset of that domain.`,
        { node: at, op, domain, expected: domain, found: [...opsets.keys()] },
      );
    }
    for (const [port, input] of node.inputs.entries()) {
      if (input !== '' && !isKnown(input)) throw unknownInput(graph, node, port, input);
    }
    for (const body of subgraphsOf(node)) {
      checkWithin(body, { own, outer }, opsets, true);
    }
    for (const [port, output] of node.outputs.entries()) {
      if (output === '') continue;
      define(output, `output ${port} of node "${at}" (${op})`, { node: at, op, port });
    }
  }

  const outputs = new Set<string>();
  for (const [port, { name }] of graph.outputs.entries()) {
    if (!isKnown(name)) {
      throw new AppError(
        'onnx/no-output',
        `The model promises an output "${name}", but no node makes it.`,
        { name, port, expected: name, found: null },
      );
    }
    // A body may give the same value out twice, a model may not.
    if (outputs.has(name) && !isBody) {
      throw new AppError('onnx/duplicate-name', `The model lists its output "${name}" twice.`, {
        ...{ name, port, expected: 'a name of its own', found: name },
      });
    }
    outputs.add(name);
  }
}

function checkTensor(name: string, tensor: Tensor): void {
  for (const dim of tensor.dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) {
      throw new AppError(
        'onnx/dims',
        `Initializer "${name}" has the impossible shape [${tensor.dims.join(', ')}].`,
        { name, dims: tensor.dims, expected: 'lengths of 0 or more', found: tensor.dims },
      );
    }
  }
  const expected = storedLength(tensor.dtype, sizeOf(tensor.dims));
  if (tensor.data.length !== expected) {
    throw new AppError(
      'onnx/tensor-size',
      `Initializer "${name}" of shape [${tensor.dims.join(', ')}] needs ${expected} elements and has ${tensor.data.length}.`,
      { name, expected, found: tensor.data.length },
    );
  }
  const width = Array.isArray(tensor.data) ? undefined : tensor.data.BYTES_PER_ELEMENT;
  const wanted = tensor.dtype === 'string' ? undefined : BYTES_PER_ELEMENT[tensor.dtype];
  if (width !== wanted) {
    throw new AppError(
      'onnx/dtype',
      `Initializer "${name}" says ${tensor.dtype} but holds elements of ${width ?? 'varying'} bytes.`,
      { name, dtype: tensor.dtype, expected: wanted, found: width },
    );
  }
}

/** Tells apart: nobody makes the value, a later node makes it, or the node waits for itself. */
function unknownInput(graph: Graph, node: Node, port: number, input: string): AppError {
  const at = `Input ${port} of node "${node.name}" (${node.op})`;
  const data = {
    node: node.name,
    op: node.op,
    port,
    input,
    expected: 'a known value',
    found: input,
  };
  const makers = new Map<string, Node>();
  for (const other of graph.nodes) for (const output of other.outputs) makers.set(output, other);
  const maker = makers.get(input);
  if (!maker) {
    return new AppError('onnx/unknown-input', `${at} is "${input}", which nothing makes.`, data);
  }
  const seen = new Set<Node>();
  const waiting = [maker];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (next === node) {
      return new AppError(
        'onnx/cycle',
        `${at} is "${input}", which depends on that node's own output: the graph has a cycle.`,
        data,
      );
    }
    if (seen.has(next)) continue;
    seen.add(next);
    for (const name of next.inputs) {
      const before = makers.get(name);
      if (before) waiting.push(before);
    }
  }
  return new AppError(
    'onnx/order',
    `${at} is "${input}", which node "${maker.name}" makes only later. Nodes must stand in the order in which they run: export the model again, or sort it with onnx-graphsurgeon.`,
    { ...data, maker: maker.name },
  );
}
