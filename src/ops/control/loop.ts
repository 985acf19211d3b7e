/**
 * Loop: a body run up to M times while a condition holds, carrying values from round to round and stacking others.
 * With a fixed number of rounds it can be written out.
 */
import { DTYPE_CODE } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { Dim, Graph, Node, Tensor, TensorType } from '../../onnx/graph';
import { graphAttribute, unsupported } from '../attributes';
import type { InferContext, OpSpec, Value } from '../define';
import { inputType, sameDims } from '../shapes';
import { makeValue, numbersOf } from '../value';
import { inliner } from './inline';
import { stackNames, stackValues } from './stack';

/** Inputs before the carried values: M and the condition. */
const HEAD = 2;
/** More rounds than this written out are no graph to compile any more. */
const MOST_ROUNDS = 1024;
/** A body that never says stop would hold its worker for ever. */
const ENDLESS = 100_000;

/** Whether the body hands on a condition that is true whenever the one it got was. */
function keepsGoing(body: Graph): boolean {
  let name = body.outputs[0]?.name ?? '';
  for (;;) {
    if (name === body.inputs[1]?.name) return true;
    const known = body.initializers.get(name);
    if (known) return Boolean(known.data[0]);
    const maker = body.nodes.find(({ outputs }) => outputs[0] === name);
    if (maker?.op === 'Constant') {
      const value = maker.attributes.get('value');
      return value?.type === 'tensor' && Boolean(value.value.data[0]);
    }
    if (maker?.op !== 'Identity' || maker.inputs[0] === undefined) return false;
    name = maker.inputs[0];
  }
}

/** Number of rounds, where nothing can change it. */
function fixedRounds(
  node: Node,
  constant: (index: number) => Tensor | undefined,
): number | undefined {
  const [most, condition] = [constant(0), constant(1)];
  if (condition && !Number(condition.data[0])) return 0;
  if ((node.inputs[1] ?? '') !== '' && !condition) return undefined;
  if (!most || !keepsGoing(graphAttribute(node, 'body'))) return undefined;
  return Math.max(0, numbersOf(most)[0] ?? 0);
}

/** Types that hold in every round: lengths that a round changes become open. */
function bodyTypes(context: InferContext, body: Graph, carried: readonly TensorType[]) {
  const index: TensorType = { dtype: 'int64', dims: [] };
  const condition: TensorType = { dtype: 'bool', dims: [] };
  const first = context.subgraph(body, [index, condition, ...carried]);
  const settled = carried.map((type, at): TensorType => {
    const next = first[at + 1];
    if (!next || sameDims(next.dims, type.dims)) return type;
    const open = (dim: Dim, axis: number): Dim =>
      dim === type.dims[axis] ? dim : `${context.node.name}_${at}_${axis}`;
    return { dtype: type.dtype, dims: next.dims.map(open) };
  });
  if (settled.every((type, at) => type === carried[at])) return { carried: settled, all: first };
  return {
    carried: settled,
    all: context.subgraph(body, [index, condition, ...settled]),
  };
}

export const loopSpec: OpSpec = {
  name: 'Loop',
  domain: '',
  inputs: [0, Infinity],
  infer: (context) => {
    const { node } = context;
    const body = graphAttribute(node, 'body');
    const given = node.inputs.slice(HEAD).map((_, index) => inputType(context, index + HEAD));
    const { carried, all } = bodyTypes(context, body, given);
    const rounds: Dim =
      fixedRounds(node, (index) => context.constant(index)) ?? `${node.name}_rounds`;
    const stacked = all.slice(1 + given.length).map(({ dtype, dims }): TensorType => ({
      dtype,
      dims: [rounds, ...dims],
    }));
    return [...carried, ...stacked];
  },
  reference: (node, inputs, scope) => {
    const body = graphAttribute(node, 'body');
    const most = inputs[0]?.data[0] ?? Infinity;
    let condition: Value = inputs[1] ?? makeValue('bool', [], Float64Array.of(1));
    let carried = inputs.slice(HEAD).flatMap((value) => value ?? []);
    const extra = body.outputs.slice(1 + carried.length);
    const rounds: Value[][] = extra.map(() => []);
    for (let round = 0; round < most && condition.data[0]; round++) {
      if (round >= ENDLESS) throw unsupported(node, `does not end within ${ENDLESS} rounds`);
      const index = makeValue('int64', [], Float64Array.of(round));
      const [next, ...rest] = scope.run(body, [index, condition, ...carried]);
      condition = next ?? condition;
      carried = rest.slice(0, carried.length);
      rest.slice(carried.length).forEach((value, at) => rounds[at]?.push(value));
    }
    const stacked = extra.map(({ dtype, dims }, at) => {
      const none = dims.map((dim) => (typeof dim === 'number' ? dim : 0));
      return stackValues(rounds[at] ?? [], 0, { dtype, dims: none });
    });
    return [...carried, ...stacked];
  },
  expand: ({ node, builder, constant, type }) => {
    const rounds = fixedRounds(node, constant);
    if (rounds === undefined || rounds > MOST_ROUNDS) {
      throw unsupported(
        node,
        rounds === undefined ? 'decides its rounds while it runs' : `runs ${rounds} rounds`,
      );
    }
    const body = graphAttribute(node, 'body');
    const run = inliner(builder, node, body);
    const always = builder.constant('bool', [], [1]);
    let carried = node.inputs.slice(HEAD);
    const extra = node.outputs.slice(carried.length);
    const stacks: string[][] = extra.map(() => []);
    for (let round = 0; round < rounds; round++) {
      const [, ...rest] = run([builder.constant('int64', [], [round]), always, ...carried]);
      carried = rest.slice(0, carried.length);
      rest.slice(carried.length).forEach((name, at) => stacks[at]?.push(name));
    }
    return [
      ...carried,
      ...stacks.map((names, at) => {
        if (names.length > 0) return stackNames(builder, names, 0);
        const { dtype, dims } = type(extra[at] ?? '');
        const zero = builder.node('ConstantOfShape', [builder.ints(dims)]);
        return builder.node('Cast', [zero], { to: attr.int(DTYPE_CODE[dtype]) });
      }),
    ];
  },
};
