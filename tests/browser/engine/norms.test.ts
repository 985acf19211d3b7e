/** Kernels of normalisations, forward and backward, on odd sizes: every form against the reference. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { attr } from '../../../src/onnx/graph';
import {
  closeForms,
  expectForms,
  expectRepeats,
  floats,
  openForms,
  positive,
} from './kernel-forms';
import type { Form } from './kernel-forms';

let forms: Form[];
beforeAll(async () => {
  forms = await openForms({
    'a thread a row, on a processor': { software: true, variant: 'threads' },
    'a thread a row, on a GPU': { software: false, variant: 'threads' },
    'a workgroup a row': { software: false, variant: 'groups' },
  });
});
afterAll(() => {
  closeForms(forms);
});

const AXIS = { axis: attr.int(1) };

describe.each([
  [5, 7],
  [37, 33],
  [300, 65],
  // Longer than a workgroup keeps.
  [3, 4500],
])('%i rows of %i', (rows, length) => {
  const x = () => floats([rows, length], 2, 3);
  const dy = () => floats([rows, length], 1, 0, 2);
  const scale = () => floats([length]);
  const statistic = () => floats([rows, 1], 1, 3);

  it('LayerNormalization and its gradient', async () => {
    const bias = floats([length], 1, 0, 2);
    await expectForms(forms, {
      op: 'LayerNormalization',
      inputs: [x(), scale(), bias],
      outputs: 3,
    });
    await expectForms(forms, { op: 'LayerNormalization', inputs: [x(), scale()] });
    await expectForms(forms, {
      op: 'LayerNormGrad',
      training: true,
      inputs: [dy(), x(), scale(), statistic(), positive([rows, 1])],
      outputs: 3,
      attributes: AXIS,
    });
  });

  it('RMSNormalization and its gradient', async () => {
    await expectForms(forms, { op: 'RMSNormalization', inputs: [x(), scale()] });
    const training = { training: true, attributes: AXIS, outputs: 2 };
    await expectForms(forms, { op: 'RMSNormTrain', inputs: [x(), scale()], ...training });
    const inputs = [dy(), x(), scale(), positive([rows, 1])];
    await expectForms(forms, { op: 'RMSNormGrad', inputs, ...training });
  });
});

it('LayerNormalization over several axes, with parameters that repeat', async () => {
  const attributes = { axis: attr.int(1) };
  const inputs = [floats([6, 4, 5]), floats([1, 5]), floats([4, 1], 1, 0, 2)];
  await expectForms(forms, { op: 'LayerNormalization', inputs, outputs: 3, attributes });
});

// Cut into parts: few channels, many elements.
describe.each([[[5, 3]], [[300, 4]], [[4, 3, 5, 7]], [[33, 8, 9, 9]], [[8, 2, 40, 41]]])(
  'batch norm of %j',
  (dims) => {
    const channels = [dims[1] ?? 1];
    const x = () => floats(dims, 2, 5);
    const own = (seed: number) => floats(channels, 1, 0, seed);

    it('with running statistics and with the batch’s own', async () => {
      const inputs = [x(), own(1), own(2), own(3), positive(channels)];
      await expectForms(forms, { op: 'BatchNormalization', inputs });
      await expectForms(forms, { op: 'BatchNormTrain', inputs, outputs: 5, training: true });
    });

    it('gradient', async () => {
      const inputs = [floats(dims, 1, 0, 2), x(), own(1), own(2), positive(channels)];
      await expectForms(forms, { op: 'BatchNormGrad', inputs, outputs: 3, training: true });
    });
  },
);

it('keeps small variances around large means', async () => {
  const inputs = [
    floats([50, 3, 30], 0.01, 100),
    floats([3]),
    floats([3]),
    floats([3]),
    positive([3]),
  ];
  // Rounding of x itself is 4e-6 of 0.01.
  await expectForms(forms, { op: 'BatchNormTrain', inputs, outputs: 5, training: true }, 2e-3);
});

it('repeats bit for bit', async () => {
  const inputs = [floats([40, 70]), floats([40, 70], 1, 0, 2), floats([70]), floats([40, 1])];
  const call = { op: 'LayerNormGrad', inputs: [...inputs, positive([40, 1])], outputs: 3 };
  await expectRepeats(forms, { ...call, attributes: AXIS, training: true });
});
