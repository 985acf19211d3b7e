import type { Dim, Graph, Node, TensorType } from '../../onnx/graph';
import { graphAttribute, unsupported } from '../attributes';
import type { OpSpec } from '../define';
import { inputValue } from '../value';
import { inliner } from './inline';

function branchOf(node: Node, condition: unknown): Graph {
  return graphAttribute(node, condition ? 'then_branch' : 'else_branch');
}

/** What both branches agree on. Where even the rank differs, exporters mean the first branch to be the rule. */
function common(node: Node, a: TensorType, b: TensorType | undefined, index: number): TensorType {
  if (!b || a.dims.length !== b.dims.length) return a;
  const open = (axis: number): Dim => `${node.name}_${index}_${axis}`;
  return {
    dtype: a.dtype,
    dims: a.dims.map((dim, axis) => (dim === b.dims[axis] ? dim : open(axis))),
  };
}

/** Runs one of two subgraphs, which take no inputs but see the values around them. */
export const ifSpec: OpSpec = {
  name: 'If',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { node } = context;
    const condition = context.constant(0);
    if (condition) return context.subgraph(branchOf(node, Number(condition.data[0])), []);
    const otherwise = context.subgraph(branchOf(node, false), []);
    return context
      .subgraph(branchOf(node, true), [])
      .map((type, index) => common(node, type, otherwise[index], index));
  },
  reference: (node, inputs, scope) =>
    scope.run(branchOf(node, inputValue(node, inputs, 0).data[0]), []),
  expand: ({ node, builder, constant }) => {
    const condition = constant(0);
    if (!condition) throw unsupported(node, 'chooses a branch while it runs');
    return inliner(builder, node, branchOf(node, Number(condition.data[0])))([]);
  },
};
