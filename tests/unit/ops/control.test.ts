/** If, Loop and Scan: values from around them, all axes and directions, and what of them can be written out. */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate';
import { nodesFor } from '../../../src/engine/analysis';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { pruneUnused } from '../../../src/onnx/compose';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import type { Value } from '../../../src/ops/define';
import { inferShapes } from '../../../src/ops/infer-shapes';
import { expanded, expectGraphAsOnnxRuntime, expectSameValues } from '../../support/oracle';

const value = (dtype: Value['dtype'], dims: readonly number[], data: readonly number[]): Value => ({
  dtype,
  dims,
  data: Float64Array.from(data),
});

async function expectBoth(graph: Graph, feeds: ReadonlyMap<string, Value>, wanted?: Graph) {
  await expectGraphAsOnnxRuntime(graph, feeds);
  const simple = wanted ?? expanded(graph);
  expect(simple.nodes.map(({ op }) => op).filter((op) => /^(If|Loop|Scan)$/.test(op))).toEqual([]);
  const found = runGraph(simple, feeds);
  for (const [name, each] of runGraph(graph, feeds)) {
    expectSameValues(found.get(name), each, name, 1e-9);
  }
}

/** y = condition ? x · w : x + w, with `w` only read inside. */
function choice(condition: 'fed' | boolean): Graph {
  const builder = new GraphBuilder('choice');
  const x = builder.input('x', 'float32', [2]);
  builder.initializer('w', { dtype: 'float32', dims: [2], data: Float32Array.of(3, 4) });
  const asked =
    condition === 'fed'
      ? builder.input('asked', 'bool', [])
      : builder.constant('bool', [], [Number(condition)]);
  const shifted = builder.node('Identity', ['w'], {}, { outputs: ['shifted'] });
  const branch = (op: string) => {
    const body = new GraphBuilder(op);
    body.output(body.node(op, [x, shifted], {}, { outputs: [`${op}/y`] }), 'float32', [2]);
    return attr.graph(body.build());
  };
  builder.node(
    'If',
    [asked],
    { then_branch: branch('Mul'), else_branch: branch('Add') },
    { outputs: ['y'] },
  );
  builder.output('y', 'float32', [2]);
  return builder.build();
}

const X = new Map([['x', value('float32', [2], [1, -2])]]);

describe('If', () => {
  it('takes its branch, which reads what is around it', async () => {
    for (const asked of [0, 1]) {
      await expectGraphAsOnnxRuntime(
        choice('fed'),
        new Map([...X, ['asked', value('bool', [], [asked])]]),
      );
    }
  });

  it('is written out where the condition is known, and is learned through', async () => {
    await expectBoth(choice(true), X);
    await expectBoth(choice(false), X);
    const builder = GraphBuilder.from(choice(true), { dropOutputs: true });
    builder.node('ReduceSum', ['y'], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const { graph, gradients } = differentiate(builder.build(), { numerator: 'loss' }, ['w']);
    const gradient = gradients.get('w') ?? '';
    const outputs = [{ name: gradient, dtype: 'float32' as const, dims: [2] }];
    expect(runGraph({ ...graph, outputs }, X).get(gradient)?.data).toEqual(Float64Array.of(1, -2));
  });

  it('is not written out where the condition is computed, and the error says so', () => {
    expect(() => expanded(choice('fed'))).toThrow(/chooses a branch while it runs/);
  });

  it('keeps alive what only a branch reads', () => {
    const graph = choice('fed');
    expect([...pruneUnused(graph).initializers.keys()]).toContain('w');
    expect(nodesFor(graph.nodes, ['y']).map(({ op }) => op)).toEqual(['Identity', 'If']);
  });
});

interface LoopOptions {
  /** undefined: no limit. */
  readonly rounds?: number;
  readonly fedRounds?: boolean;
  /** The body stops once the carried value reaches this. */
  readonly until?: number;
  readonly condition?: boolean;
}

/** carried ← carried + step + i, with `step` from around; stacks the square of what came in. */
function loop({ rounds, fedRounds, until, condition }: LoopOptions): Graph {
  const body = new GraphBuilder('body');
  const i = body.input('i', 'int64', []);
  const going = body.input('going', 'bool', []);
  const carried = body.input('carried', 'float32', [2]);
  const index = body.node('Cast', [i], { to: attr.int(1) });
  const next = body.node(
    'Add',
    [body.node('Add', [carried, 'step']), index],
    {},
    { outputs: ['next'] },
  );
  const square = body.node('Mul', [carried, carried], {}, { outputs: ['square'] });
  const most = body.node('ReduceMax', [next], { keepdims: attr.int(0) });
  const on =
    until === undefined
      ? body.node('Identity', [going], {}, { outputs: ['on'] })
      : body.node('Less', [most, body.scalar(until)], {}, { outputs: ['on'] });
  body.output(on, 'bool', []);
  body.output(next, 'float32', [2]);
  body.output(square, 'float32', [2]);

  const builder = new GraphBuilder('loop');
  const x = builder.input('x', 'float32', [2]);
  builder.initializer('step', { dtype: 'float32', dims: [2], data: Float32Array.of(1, 0.5) });
  const limit = fedRounds
    ? builder.input('limit', 'int64', [])
    : rounds === undefined
      ? ''
      : builder.constant('int64', [], [rounds]);
  const asked = condition === undefined ? '' : builder.constant('bool', [], [Number(condition)]);
  builder.nodes(
    'Loop',
    [limit, asked, x],
    2,
    { body: attr.graph(body.build()) },
    { outputs: ['last', 'all'] },
  );
  builder.output('last', 'float32', [2]);
  builder.output('all', 'float32', ['rounds', 2]);
  return builder.build();
}

describe('Loop', () => {
  it('runs a fixed number of rounds, and is written out', async () => {
    for (const rounds of [0, 1, 5]) await expectBoth(loop({ rounds, condition: true }), X);
    await expectBoth(loop({ rounds: 3 }), X);
    await expectBoth(loop({ rounds: 3, condition: false }), X);
    expect(inferShapes(loop({ rounds: 5, condition: true })).get('all')?.dims).toEqual([5, 2]);
  });

  it('stops when its body says so', async () => {
    const open = loop({ until: 6, condition: true });
    await expectGraphAsOnnxRuntime(open, X);
    expect(runGraph(open, X).get('last')?.data[0]).toBeGreaterThanOrEqual(6);
    expect(inferShapes(open).get('all')?.dims[0]).toBeTypeOf('string');
    expect(() => expanded(open)).toThrow(/decides its rounds while it runs/);
  });

  it('does not run for ever', () => {
    const body = new GraphBuilder('body');
    body.input('i', 'int64', []);
    const going = body.input('going', 'bool', []);
    body.output(body.node('Identity', [going], {}, { outputs: ['on'] }), 'bool', []);
    const builder = new GraphBuilder('endless');
    const always = builder.input('always', 'bool', []);
    builder.nodes(
      'Loop',
      ['', always],
      0,
      { body: attr.graph(body.build()) },
      { outputs: ['none'] },
    );
    builder.output('none', 'float32', []);
    const feeds = new Map([['always', value('bool', [], [1])]]);
    expect(() => runGraph(builder.build(), feeds)).toThrow(/does not end/);
  });

  it('runs as often as it is told', async () => {
    for (const limit of [0, 2]) {
      const feeds = new Map([...X, ['limit', value('int64', [], [limit])]]);
      await expectGraphAsOnnxRuntime(loop({ fedRounds: true, condition: true }), feeds);
    }
    expect(() => expanded(loop({ fedRounds: true }))).toThrow(/while it runs/);
  });
});

/** Two inputs scanned along different axes; a running sum, its history, and an outer product. */
function scan(attributes: Readonly<Record<string, Attribute>>): Graph {
  const body = new GraphBuilder('step');
  const sum = body.input('sum', 'float32', [2]);
  const a = body.input('a', 'float32', [2]);
  const b = body.input('b', 'float32', [3]);
  const next = body.node('Add', [sum, body.node('Mul', [a, 'weight'])], {}, { outputs: ['next'] });
  const column = body.node('Unsqueeze', [a, body.ints([1])]);
  const row = body.node('Unsqueeze', [b, body.ints([0])]);
  const outer = body.node('Mul', [column, row], {}, { outputs: ['outer'] });
  body.output(next, 'float32', [2]);
  body.output(body.node('Identity', [next], {}, { outputs: ['history'] }), 'float32', [2]);
  body.output(outer, 'float32', [2, 3]);

  const builder = new GraphBuilder('scan');
  const start = builder.input('start', 'float32', [2]);
  const x = builder.input('x', 'float32', [4, 2]);
  const y = builder.input('y', 'float32', [3, 4]);
  builder.initializer('weight', { dtype: 'float32', dims: [2], data: Float32Array.of(2, -1) });
  const outputs = builder.nodes(
    'Scan',
    [start, x, y],
    3,
    {
      body: attr.graph(body.build()),
      num_scan_inputs: attr.int(2),
      scan_input_axes: attr.ints([0, -1]),
      ...attributes,
    },
    { outputs: ['last', 'history', 'outers'] },
  );
  const types = inferShapes(builder.build());
  for (const name of outputs) builder.output(name, 'float32', types.get(name)?.dims ?? []);
  return builder.build();
}

const count = (size: number) => Array.from({ length: size }, (_, i) => i - 2);
const SCANNED = new Map([
  ['start', value('float32', [2], [1, 2])],
  ['x', value('float32', [4, 2], count(8))],
  ['y', value('float32', [3, 4], count(12))],
]);

describe('Scan', () => {
  it.each<Readonly<Record<string, Attribute>>>([
    {},
    { scan_input_directions: attr.ints([1, 0]) },
    { scan_output_directions: attr.ints([1, 0]) },
    { scan_output_axes: attr.ints([-1, 1]), scan_input_directions: attr.ints([0, 1]) },
    { scan_output_axes: attr.ints([1, -1]), scan_output_directions: attr.ints([0, 1]) },
  ])('with %j', (attributes) => expectBoth(scan(attributes), SCANNED));

  it('knows the shapes of what it stacks', () => {
    const types = inferShapes(scan({ scan_output_axes: attr.ints([1, -1]) }));
    expect(types.get('history')?.dims).toEqual([2, 4]);
    expect(types.get('outers')?.dims).toEqual([2, 3, 4]);
  });

  it('refuses inputs of different lengths', () => {
    expect(() => scan({ scan_input_axes: attr.ints([0, 0]) })).toThrow(/of one length/);
  });

  it('is learned through, weights of the body included', () => {
    const builder = GraphBuilder.from(scan({}), { dropOutputs: true });
    builder.node('ReduceSum', ['history'], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const { graph, gradients } = differentiate(builder.build(), { numerator: 'loss' }, [
      'weight',
      'x',
    ]);
    const outputs = [...gradients.values()].map((name) => ({
      name,
      dtype: 'float32' as const,
      dims: [],
    }));
    const results = runGraph({ ...graph, outputs }, SCANNED);
    // Step t is counted by itself and all steps after it: 4, 3, 2, 1 times.
    expect(results.get(gradients.get('weight') ?? '')?.data).toEqual(
      Float64Array.of(4 * -2 + 3 * 0 + 2 * 2 + 4, 4 * -1 + 3 * 1 + 2 * 3 + 5),
    );
    expect(results.get(gradients.get('x') ?? '')?.data).toEqual(
      Float64Array.of(8, -4, 6, -3, 4, -2, 2, -1),
    );
  });
});
