/**
 * A corpus of models that are wrong, each in one way: the error names node, operator and port, what was expected and
 * what was found. Made by hand as bytes (proto.ts), because no writer would write them.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { readModel } from '../../../src/onnx/reader';
import { inspectModel, runBlockers, trainingBlockers } from '../../../src/ops/capabilities';
import { infer, staticType } from '../../../src/ops/infer-shapes';
import { CORPUS, FLOAT, graph, named, x, z } from './bad-models';
import { model, node, weight } from './proto';

function refusal(file: Uint8Array): AppError {
  try {
    const read = readModel(file);
    const { types } = infer(read);
    for (const { name } of read.outputs) staticType(types, name);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('The model was accepted.');
}

describe('models that are wrong', () => {
  it.each(Object.keys(CORPUS))('%s', (name) => {
    const wrong = CORPUS[name];
    if (!wrong) throw new Error(name);
    const { file, code, ...rest } = wrong;
    const error = refusal(model(file));
    expect(error.code, error.message).toBe(code);
    for (const [key, value] of Object.entries(rest)) {
      expect(error.data[key], `${key} of ${error.message}`).toEqual(value);
    }
    // What a person reads says it, too.
    if (rest.node) expect(error.message).toContain(`"${rest.node}"`);
  });
});

describe('what stands in the way', () => {
  it('of running is told node by node', () => {
    const file = graph([x], node('Frob', ['x'], ['a']), node('Nicate', ['a'], ['y']));
    expect(runBlockers(readModel(model(file)))).toEqual([
      { node: 'Frob:a', op: 'Frob', reason: 'This version does not know Frob.' },
      { node: 'Nicate:y', op: 'Nicate', reason: 'This version does not know Nicate.' },
    ]);
  });

  it('of running is the error of the shapes', () => {
    const [blocker] = runBlockers(readModel(model(graph([x, z], named('Add', ['x', 'z'])))));
    expect(blocker).toMatchObject({ node: 'Add:y', op: 'Add' });
    expect(blocker?.reason).toMatch(/shapes that broadcast/);
  });

  it('of training only is what gradients must pass', () => {
    // Det has no gradient. Before the weight, and beside the way to the output, it may stand.
    const file = graph(
      [['x', FLOAT, [3, 2, 2]]],
      node('Det', ['x'], ['before']),
      node('Det', ['v'], ['between']),
      node('Det', ['v'], ['unused']),
      node('Add', ['before', 'w'], ['sum']),
      named('Add', ['sum', 'between']),
    )
      .message(5, weight('v', [2, 2], 16))
      .message(5, weight('w', [3], 12));
    const read = readModel(model(file));
    const blockers = (...trainable: string[]) => trainingBlockers(read, new Set(trainable));
    expect(runBlockers(read)).toEqual([]);
    expect(blockers('w')).toEqual([]);
    expect(blockers('v', 'w')).toEqual([
      { node: 'Det:between', op: 'Det', reason: 'Det has no gradient.' },
    ]);
    expect(trainingBlockers(read)).toEqual(blockers('v', 'w'));
    expect(inspectModel(read)).toMatchObject({
      ...{ parameters: 7, weightBytes: 28, nodes: 5 },
      operators: [
        { op: 'Det', count: 3 },
        { op: 'Add', count: 2 },
      ],
    });
  });
});

describe('a real file with bytes changed', () => {
  it('is taken or refused with a reason, quickly', () => {
    const file = new Uint8Array(readFileSync('tests/fixtures/onnx/exported/attend-dynamo.onnx'));
    let seed = 12345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % below;
    };
    let refused = 0;
    for (let round = 0; round < 400; round++) {
      const damaged = file.slice();
      for (let change = random(4); change >= 0; change--)
        damaged[random(file.length)] = random(256);
      const start = process.cpuUsage().user;
      try {
        infer(readModel(damaged));
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
        refused++;
      }
      expect((process.cpuUsage().user - start) / 1000).toBeLessThan(1000);
    }
    expect(refused).toBeGreaterThan(100);
  });
});
