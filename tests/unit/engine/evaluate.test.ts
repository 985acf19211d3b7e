import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { bindInputs } from '../../../src/engine/evaluate';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { ODD_GRAPHS, tensor } from '../../support/odd-graphs';

const executor = createReferenceExecutor();

/** y = x + w, with `w` of the model's own. */
function sum(): Graph {
  const builder = new GraphBuilder('sum');
  builder.input('x', 'float32', ['rows', 2]);
  builder.initializer('w', tensor('float32', [2], [10, 20]));
  builder.node('Add', ['x', 'w'], {}, { outputs: ['y'] });
  builder.output('y', 'float32', ['rows', 2]);
  return builder.build();
}

function refusal(inputs: Record<string, Tensor>): AppError {
  try {
    bindInputs(sum(), new Map(Object.entries(inputs)));
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('Nothing was refused.');
}

describe('evaluate on the reference interpreter', () => {
  it.each(ODD_GRAPHS)('$name', async ({ graph, inputs, outputs }) => {
    expect(await executor.evaluate(graph, inputs)).toEqual(outputs);
  });

  it('takes open lengths from the inputs, and inputs in place of weights', async () => {
    const x = tensor('float32', [1, 2], [1, 2]);
    const w = tensor('float32', [2, 2], [0, 0, 5, 5]);
    const found = await executor.evaluate(
      sum(),
      new Map([
        ['x', x],
        ['w', w],
      ]),
    );
    expect(found.get('y')).toEqual(tensor('float32', [2, 2], [1, 2, 6, 7]));
  });

  it('rounds each value to its type, where a plain run is in float64', () => {
    const builder = new GraphBuilder('third');
    builder.input('x', 'float16', [1]);
    const third = builder.node('Div', ['x', builder.constant('float16', [1], [3])]);
    builder.node('Mul', [third, builder.constant('float16', [1], [4096])], {}, { outputs: ['y'] });
    builder.output('y', 'float16', [1]);
    const feeds = new Map([['x', tensor('float16', [1], [1])]]);
    const plain = runGraph(builder.build(), feeds).get('y')?.data[0] ?? NaN;
    const rounded = runGraph(builder.build(), feeds, { rounded: true }).get('y')?.data[0] ?? NaN;
    expect(plain).toBeCloseTo(4096 / 3, 9);
    // 1/3 in float16 is 1365/4096.
    expect(rounded).toBe(1365);
  });
});

describe('inputs', () => {
  it.each([
    ['a missing one', {}, /"x" was not given/],
    ['one of another type', { x: tensor('int32', [1, 2], [1, 2]) }, /float32 \[rows, 2\].*int32/],
    ['one of another shape', { x: tensor('float32', [1, 3], [1, 2, 3]) }, /\[rows, 2\].*\[1, 3\]/],
    ['one with other axes', { x: tensor('float32', [2], [1, 2]) }, /\[rows, 2\].*\[2\]/],
    [
      'one that the model does not have',
      { x: tensor('float32', [1, 2], [1, 2]), z: tensor('float32', [], [1]) },
      /no input "z"/,
    ],
  ])('%s is refused by name', (_, inputs, says) => {
    const error = refusal(inputs);
    expect(error.code).toBe('engine/feed');
    expect(error.message).toMatch(says);
  });
});
