/** Typed reading of node attributes. A missing attribute without a fallback, or one of another type, is an error. */
import { AppError } from '../core/errors';
import type { Attribute, Graph, Node, Tensor } from '../onnx/graph';

type Kind = Attribute['type'];
type ValueFor<K extends Kind> = Extract<Attribute, { type: K }>['value'];

function read<K extends Kind>(
  node: Node,
  name: string,
  kind: K,
  fallback: ValueFor<K> | undefined,
): ValueFor<K> {
  const found = node.attributes.get(name);
  if (found === undefined) {
    if (fallback !== undefined) return fallback;
    throw new AppError(
      'onnx/attribute',
      `Node "${node.name}" (${node.op}) lacks its attribute "${name}". The model file is incomplete.`,
      { node: node.name, op: node.op, port: name, expected: kind, found: null },
    );
  }
  if (found.type !== kind) {
    throw new AppError(
      'onnx/attribute',
      `Attribute "${name}" of node "${node.name}" (${node.op}) should be of type ${kind}, but is ${found.type}.`,
      { node: node.name, op: node.op, port: name, expected: kind, found: found.type },
    );
  }
  return found.value as ValueFor<K>;
}

export function intAttribute(node: Node, name: string, fallback?: number): number {
  return read(node, name, 'int', fallback);
}

export function floatAttribute(node: Node, name: string, fallback?: number): number {
  return read(node, name, 'float', fallback);
}

export function stringAttribute(node: Node, name: string, fallback?: string): string {
  return read(node, name, 'string', fallback);
}

export function intsAttribute(
  node: Node,
  name: string,
  fallback?: readonly number[],
): readonly number[] {
  return read(node, name, 'ints', fallback);
}

export function floatsAttribute(
  node: Node,
  name: string,
  fallback?: readonly number[],
): readonly number[] {
  return read(node, name, 'floats', fallback);
}

export function stringsAttribute(
  node: Node,
  name: string,
  fallback?: readonly string[],
): readonly string[] {
  return read(node, name, 'strings', fallback);
}

export function graphAttribute(node: Node, name: string): Graph {
  return read(node, name, 'graph', undefined);
}

export function tensorAttribute(node: Node, name: string): Tensor {
  return read(node, name, 'tensor', undefined);
}

/** Refuses a setting that this build does not carry out, naming node and operator. */
export function unsupported(node: Node, what: string): AppError {
  return new AppError(
    'onnx/unsupported',
    `Node "${node.name}" (${node.op}) ${what}, which this version does not support. ` +
      'Export the model without it.',
    { node: node.name, op: node.op },
  );
}
