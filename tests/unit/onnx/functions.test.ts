import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { runGraph } from '../../../src/engine/reference/run-graph';
import type { Graph } from '../../../src/onnx/graph';
import { readModel, readModelFile } from '../../../src/onnx/reader';
import type { WireWriter } from '../../../src/onnx/wire';
import { attribute, call, fn, info, io, modelWith, node, w } from './proto';

const run = (graph: Graph, x: number): number | undefined =>
  runGraph(graph, new Map([['x', { dtype: 'float32', dims: [1], data: Float64Array.of(x) }]])).get(
    'y',
  )?.data[0];

function refusal(file: Uint8Array): AppError {
  try {
    readModel(file);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('The file was accepted.');
}

/** An attribute of a node in a function that takes the value of the call's attribute. */
const refers = (name: string, to: string, type: number): WireWriter =>
  w().string(1, name).int(20, type).string(21, to);

describe('functions of the model', () => {
  it('are written out with names of their own, calls within calls too', () => {
    const twice = fn('Twice', ['a'], ['b'], [node('Add', ['a', 'a'], ['b'])]);
    const four = fn(
      'Four',
      ['a'],
      ['b'],
      [call('Twice', ['a'], ['t']), call('Twice', ['t'], ['b'])],
    );
    const graph = io()
      .message(1, call('Four', ['x'], ['t']))
      .message(1, call('Four', ['t'], ['y']));
    const { graph: read, origin } = readModelFile(modelWith(graph, [twice, four]));
    expect(origin.functions).toBe(2);
    expect(read.nodes.map(({ op }) => op)).toEqual(['Add', 'Add', 'Add', 'Add']);
    expect(new Set(read.nodes.map(({ name }) => name)).size).toBe(4);
    expect([...read.opsets.keys()]).toEqual(['']);
    expect(run(read, 3)).toBe(48);
  });

  it('take attributes from the call, or their default, or leave them out', () => {
    const shift = node('LeakyRelu', ['a'], ['b']).message(5, refers('alpha', 'slope', 1));
    const f = fn('Shift', ['a'], ['b'], [shift], ['slope']);
    const byDefault = fn('Other', ['a'], ['b'], [shift]).message(
      11,
      w().string(1, 'slope').int(20, 1).float(2, 0.25),
    );
    const given = w().string(1, 'slope').int(20, 1).float(2, 0.5);
    const slopes = (file: Uint8Array): unknown[] =>
      readModel(file).nodes.map((own) => own.attributes.get('alpha')?.value);
    const graph = io()
      .message(1, call('Shift', ['x'], ['p']).message(5, given))
      .message(1, call('Shift', ['p'], ['q']))
      .message(1, call('Other', ['q'], ['y']));
    expect(slopes(modelWith(graph, [f, byDefault]))).toEqual([0.5, undefined, 0.25]);
  });

  it('may omit inputs and outputs, and hand an input through', () => {
    const f = fn(
      'Part',
      ['a', 'low', 'high'],
      ['b', 'same', 'unused'],
      [node('Clip', ['a', 'low', 'high'], ['b']), node('Neg', ['a'], ['unused'])],
    );
    const through = fn('Through', ['a'], ['a'], []);
    const named = fn('Named', ['a'], ['b', 'a'], [node('Neg', ['a'], ['b'])]);
    const graph = io()
      .message(1, call('Part', ['x', ''], ['p', '']))
      .message(1, call('Named', ['p'], ['', 'q']))
      .message(1, call('Through', ['q'], ['y']));
    const read = readModel(modelWith(graph, [f, through, named]));
    expect(read.nodes.find(({ op }) => op === 'Clip')?.inputs).toEqual(['x', '', '']);
    expect(run(read, -2)).toBe(-2);
  });

  it('keep the names of bodies apart from those around the call', () => {
    // The body defines `x`, the name of the graph's input, and reads the function's `a`, which is that input.
    const body = w()
      .message(1, node('Neg', ['a'], ['x']))
      .message(1, node('Add', ['x', 'a'], ['r']))
      .string(2, 'body')
      .message(12, info('r'));
    const choose = node('If', ['c'], ['b'])
      .message(5, attribute('then_branch', body))
      .message(5, attribute('else_branch', body));
    const yes = w().int(2, 9).string(8, 'c').bytes(9, Uint8Array.of(1));
    const f = fn('Choose', ['a', 'c'], ['b'], [choose]);
    const graph = io()
      .message(5, yes)
      .message(1, call('Choose', ['x', 'c'], ['y']));
    const read = readModel(modelWith(graph, [f]));
    expect(run(read, 5)).toBe(0);
  });

  it('in another opset than the model are brought to ours in their own', () => {
    const old = node('Squeeze', ['a'], ['b']).message(
      5,
      w().string(1, 'axes').int(20, 7).ints(8, [0]),
    );
    const f = w().string(1, 'Old').string(4, 'a').string(5, 'b').message(7, old);
    f.message(9, w().int(2, 11)).string(10, 'local');
    const graph = io().message(1, call('Old', ['x'], ['y']));
    const [squeeze] = readModel(modelWith(graph, [f])).nodes;
    expect(squeeze?.inputs.length).toBe(2);
    expect(squeeze?.attributes.size).toBe(0);
  });
});

describe('functions that must not be', () => {
  const graph = (op: string): WireWriter => io().message(1, call(op, ['x'], ['y']));

  it('written out come to more nodes than there can be', () => {
    const functions = [fn('F0', ['a'], ['b'], [node('Neg', ['a'], ['b'])])];
    for (let level = 1; level <= 60; level++) {
      const before = `F${level - 1}`;
      functions.push(
        fn(`F${level}`, ['a'], ['b'], [call(before, ['a'], ['t']), call(before, ['t'], ['b'])]),
      );
    }
    const start = process.cpuUsage().user;
    const error = refusal(modelWith(graph('F60'), functions));
    expect(error.code).toBe('onnx/too-large');
    expect((process.cpuUsage().user - start) / 1000).toBeLessThan(1500);
  });

  it('call themselves, over a detour', () => {
    const a = fn('A', ['a'], ['b'], [call('B', ['a'], ['b'])]);
    const b = fn('B', ['a'], ['b'], [call('A', ['a'], ['b'], 'back')]);
    const error = refusal(modelWith(graph('A'), [a, b]));
    expect(error.code).toBe('onnx/function');
    expect(error.data).toMatchObject({ op: 'A', node: expect.stringContaining('back') as string });
  });

  it('are called with more than they take', () => {
    const f = fn('F', ['a'], ['b'], [node('Neg', ['a'], ['b'])]);
    const error = refusal(modelWith(io().message(1, call('F', ['x', 'x'], ['y'])), [f]));
    expect(error.data).toMatchObject({
      ...{ node: 'F:y', op: 'F' },
      expected: '1 inputs and 1 outputs at most',
      found: '2 and 1',
    });
  });

  it('refer to attributes outside of any function', () => {
    const lone = node('LeakyRelu', ['x'], ['y']).message(5, refers('alpha', 'slope', 1));
    const error = refusal(modelWith(io().message(1, lone), []));
    expect(error.data).toMatchObject({ node: 'LeakyRelu:y', op: 'LeakyRelu', port: 'alpha' });
  });
});
