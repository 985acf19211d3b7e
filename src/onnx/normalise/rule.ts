/** What a normalisation rule sees of the graph and gives back. */
import { AppError } from '../../core/errors';
import type { NumericDType } from '../../core/dtype';
import type { Attribute, Node, Tensor, TensorType } from '../graph';

export interface RuleContext {
  /** Opset of ai.onnx that the node is written in. */
  readonly opset: number;
  /** A constant of the graph at hand; returns its name. */
  constant(dtype: NumericDType, dims: readonly number[], values: readonly number[]): string;
  /** Value of an initialiser or Constant node. */
  tensor(name: string): Tensor | undefined;
  /** What the file says of a value. */
  type(name: string): TensorType | undefined;
  /** Number of axes, as far as it follows from the file or from the nodes before. */
  rank(name: string): number | undefined;
  /** Element type, followed back through first inputs; float32 where nothing is said. */
  floatType(name: string): NumericDType;
  /** Whether anything reads a value. */
  isRead(name: string): boolean;
  /** A helper node in front of `node`; returns the name of its output. */
  before(
    node: Node,
    op: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, Attribute>>,
  ): string;
}

/** The node in the form of the internal opset, or undefined where it has that form already. */
export type Rule = (node: Node, context: RuleContext) => Node | undefined;

/** A node with some attributes less and others more. */
export function withAttributes(
  node: Node,
  drop: readonly string[],
  add: Readonly<Record<string, Attribute>> = {},
): Node {
  const attributes = new Map(node.attributes);
  for (const name of drop) attributes.delete(name);
  for (const [name, value] of Object.entries(add)) attributes.set(name, value);
  return { ...node, attributes };
}

/** A node with `name` as input `index`; omitted ones before it become ''. */
export function withInput(node: Node, index: number, name: string): Node {
  const inputs = [...node.inputs];
  while (inputs.length < index) inputs.push('');
  inputs[index] = name;
  return { ...node, inputs };
}

export function intOf(node: Node, name: string, fallback: number): number {
  const found = node.attributes.get(name);
  return found?.type === 'int' ? found.value : fallback;
}

export function intsOf(node: Node, name: string): readonly number[] | undefined {
  const found = node.attributes.get(name);
  return found?.type === 'ints' ? found.value : undefined;
}

export function floatOf(node: Node, name: string): number | undefined {
  const found = node.attributes.get(name);
  return found?.type === 'float' ? found.value : undefined;
}

export function stringOf(node: Node, name: string): string | undefined {
  const found = node.attributes.get(name);
  return found?.type === 'string' ? found.value : undefined;
}

export function cannotNormalise(node: Node, why: string): AppError {
  return new AppError(
    'onnx/unsupported',
    `Node "${node.name}" (${node.op}) ${why}. Export the model again with opset 17 or later.`,
    { node: node.name, op: node.op },
  );
}
