import type { Attribute, Node } from '../onnx/graph';

/** A node that stands in no graph: to call one kernel from another. */
export function makeNode(
  op: string,
  inputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Node {
  return {
    name: op,
    op,
    domain: '',
    inputs,
    outputs: ['y'],
    attributes: new Map(Object.entries(attributes)),
  };
}
