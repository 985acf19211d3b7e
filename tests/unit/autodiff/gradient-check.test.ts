/** The oracle of the gradients must itself be able to say no. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { given, randomNumbers, uniform } from '../../support/calls';
import {
  awayFrom,
  broadcastShapes,
  checkGradients,
  seeds,
  shapeWithAxes,
  shapeWithAxis,
} from '../../support/gradient-check';

describe('checkGradients', () => {
  it('holds over broadcasts, axes and kinks that the inputs avoid', () => {
    fc.assert(
      fc.property(broadcastShapes(2), seeds, ([a = [], b = []], seed) => {
        const random = randomNumbers(seed);
        const inputs = [uniform(random, a, 0.5, 2), uniform(random, b, 0.5, 2)];
        checkGradients({ op: 'Div', inputs }, { seed });
      }),
      { numRuns: 15 },
    );
    fc.assert(
      fc.property(shapeWithAxis(), seeds, ({ dims, axis }, seed) => {
        const inputs = [uniform(randomNumbers(seed), dims, -2, 2)];
        checkGradients({ op: 'Softmax', inputs, attributes: { axis: attr.int(axis) } }, { seed });
      }),
      { numRuns: 15 },
    );
    fc.assert(
      fc.property(shapeWithAxes(), seeds, ({ dims, axes }, seed) => {
        const x = awayFrom(randomNumbers(seed), dims, [0]);
        const list = given('int64', [axes.length], axes, true);
        checkGradients({ op: 'ReduceMean', inputs: [x, list] }, { seed });
        checkGradients({ op: 'Relu', inputs: [x] }, { seed });
      }),
      { numRuns: 15 },
    );
  });

  it('counts every output, together and alone', () => {
    const random = randomNumbers(3);
    const axis = { axis: attr.int(1), num_outputs: attr.int(3) };
    const x = uniform(random, [2, 5]);
    checkGradients({ op: 'Split', inputs: [x], attributes: axis, outputs: 3 });
  });

  it('sees a wrong gradient, and a kink', () => {
    // Relu has two slopes at 0.
    const zero = given('float32', [1], [0]);
    expect(() => checkGradients({ op: 'Relu', inputs: [zero] })).toThrow('Relu (y0) d/dx0[0]');
    const labels = given('int32', [2], [0, 1], true);
    const weights = given('float32', [2], [1, 1]);
    // The sample weights are constants to the rule, but not to central differences.
    const call = {
      op: 'SoftmaxCrossEntropy',
      domain: TRAINING_DOMAIN,
      inputs: [uniform(randomNumbers(1), [2, 3]), labels, weights],
      outputs: 3,
    };
    checkGradients(call, { outputs: [0], wrt: [0] });
    expect(() => checkGradients(call, { outputs: [0] })).toThrow('d/dx2');
  });
});
