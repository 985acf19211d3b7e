/**
 * Structural rules that every Graph keeps, whoever made it: unique names, known inputs, topological order,
 * existing outputs, opset imports. Types and shapes are the business of shape inference, not of this file.
 */
import { BYTES_PER_ELEMENT, sizeOf, storedLength } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Graph, Node, Tensor } from './graph';

/** Throws the first broken rule as `onnx/…` with node, port, expected and found in `data`. */
export function checkGraph(graph: Graph): void {
  const known = new Map<string, string>();
  const define = (name: string, by: string): void => {
    if (name === '') {
      throw new AppError('onnx/no-name', `${by} has no name.`, { by });
    }
    const other = known.get(name);
    if (other !== undefined) {
      throw new AppError(
        'onnx/duplicate-name',
        `The value "${name}" is defined twice: by ${other} and by ${by}. Names must be unique.`,
        { name, first: other, second: by },
      );
    }
    known.set(name, by);
  };

  for (const [index, input] of graph.inputs.entries()) define(input.name, `graph input ${index}`);
  for (const [name, tensor] of graph.initializers) {
    define(name, `initializer "${name}"`);
    checkTensor(name, tensor);
  }

  const nodeNames = new Set<string>();
  for (const node of graph.nodes) {
    if (nodeNames.has(node.name)) {
      throw new AppError(
        'onnx/duplicate-name',
        `Two nodes are called "${node.name}". Node names must be unique.`,
        { name: node.name },
      );
    }
    nodeNames.add(node.name);
    if (!graph.opsets.has(node.domain)) {
      throw new AppError(
        'onnx/no-opset',
        `Node "${node.name}" (${node.op}) is of domain "${node.domain || 'ai.onnx'}", but the model imports no opset of that domain.`,
        { node: node.name, op: node.op, domain: node.domain },
      );
    }
    for (const [port, input] of node.inputs.entries()) {
      if (input !== '' && !known.has(input)) throw unknownInput(graph, node, port, input);
    }
    for (const [port, output] of node.outputs.entries()) {
      if (output !== '') define(output, `output ${port} of node "${node.name}" (${node.op})`);
    }
  }

  const outputs = new Set<string>();
  for (const { name } of graph.outputs) {
    if (!known.has(name)) {
      throw new AppError(
        'onnx/no-output',
        `The model promises an output "${name}", but no node makes it.`,
        { name },
      );
    }
    if (outputs.has(name)) {
      throw new AppError('onnx/duplicate-name', `The model lists its output "${name}" twice.`, {
        name,
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
        { name, dims: tensor.dims },
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
      { name, dtype: tensor.dtype },
    );
  }
}

/** Tells apart: nobody makes the value, a later node makes it, or the node waits for itself. */
function unknownInput(graph: Graph, node: Node, port: number, input: string): AppError {
  const at = `Input ${port} of node "${node.name}" (${node.op})`;
  const data = { node: node.name, op: node.op, port, input };
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
    `${at} is "${input}", which node "${maker.name}" makes only later. Nodes must stand in the order in which they run.`,
    { ...data, maker: maker.name },
  );
}
