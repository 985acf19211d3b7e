/** Kernels of softmax and cross-entropy, of gather's gradient and of dropout masks: every form against the reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { dropoutKey, fillDropoutMask, purposeHash } from '../../../src/core/philox';
import { attr } from '../../../src/onnx/graph';
import type { Tensor } from '../../../src/onnx/graph';
import {
  closeForms,
  expectForms,
  floats,
  graphOf,
  integers,
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

describe.each([[[5, 3]], [[37, 200]], [[3, 5000]], [[4, 33, 7]]])('softmax of %j', (dims) => {
  it.each(dims.map((_, axis) => axis))('along axis %i', async (axis) => {
    const attributes = { axis: attr.int(axis) };
    for (const op of ['Softmax', 'LogSoftmax']) {
      await expectForms(forms, { op, inputs: [floats(dims, 4)], attributes }, 1e-5);
    }
  });
});

describe.each([
  [5, 3],
  [37, 200],
  [300, 10],
  [3, 5000],
])('cross-entropy of %i rows and %i classes', (rows, classes) => {
  const labels = integers([rows], classes);
  const training = true;

  it('loss, weights and probabilities', async () => {
    const inputs = [floats([rows, classes], 4), labels, positive([rows])];
    await expectForms(forms, { op: 'SoftmaxCrossEntropy', inputs, outputs: 3, training }, 1e-5);
  });

  it('gradient', async () => {
    const inputs = [floats([]), positive([rows, classes]), labels, floats([rows])];
    await expectForms(forms, { op: 'SoftmaxCrossEntropyGrad', inputs, training });
  });
});

async function values(form: Form, op: string, inputs: readonly Tensor[], outputs: number) {
  const graph = graphOf({ op, inputs, outputs, training: true });
  const feeds = new Map(inputs.map((tensor, at) => [`in${at}`, tensor]));
  const found = await form.executor.evaluate(graph, feeds);
  return graph.outputs.map(({ name }) => Array.from(found.get(name)?.data ?? [], Number));
}

const whole = (dims: readonly number[], data: readonly number[]): Tensor => ({
  dtype: 'int32',
  dims,
  data: Int32Array.from(data),
});

describe('a label outside the classes', () => {
  it.each([-1, 3])('makes loss and gradient NaN: %i', async (label) => {
    const labels = whole([2], [1, label]);
    for (const form of forms) {
      const ones: Tensor = { dtype: 'float32', dims: [2], data: Float32Array.of(1, 1) };
      const logits = [floats([2, 3]), labels, ones];
      const [loss = []] = await values(form, 'SoftmaxCrossEntropy', logits, 3);
      expect(loss[0], form.name).toBeNaN();
      const given = [floats([]), floats([2, 3]), labels, ones];
      const [gradient = []] = await values(form, 'SoftmaxCrossEntropyGrad', given, 1);
      expect(gradient.map(Number.isNaN), form.name).toEqual([
        false,
        false,
        false,
        true,
        true,
        true,
      ]);
    }
  });

  it('counts nothing in a row of weight 0', async () => {
    const weights: Tensor = { dtype: 'float32', dims: [2], data: Float32Array.of(1, 0) };
    for (const form of forms) {
      const inputs = [floats([2, 3]), whole([2], [1, 7]), weights];
      const [loss = [], weight = []] = await values(form, 'SoftmaxCrossEntropy', inputs, 3);
      expect(loss[0], form.name).toBeGreaterThan(0);
      expect(weight, form.name).toEqual([1]);
    }
  });
});

describe.each([
  [5, 3, 40],
  [37, 65, 7],
  [3, 300, 100],
  // More indices than a workgroup marks at once.
  [6, 2, 9000],
])('gradient of looking up %i rows of %i numbers', (rows, width, count) => {
  it(`at ${count} places`, async () => {
    const indices = integers([count], rows);
    // A negative index counts from the end.
    indices.data[0] = -1;
    const inputs = [floats([count, width]), indices];
    const attributes = { dims: attr.ints([rows, width]) };
    await expectForms(forms, { op: 'GatherGrad', inputs, attributes, training: true });
  });
});

it('draws the dropout masks of the host, bit for bit', async () => {
  const dims = [7, 13];
  const [ratio, purpose, key] = [0.3, purposeHash('dropout:deep'), dropoutKey(2 ** 40 + 5, 3, 2)];
  const expected = new Float32Array(sizeOf(dims));
  fillDropoutMask(expected, { ratio, rowSize: 13, key, purpose });
  const attributes = {
    dims: attr.ints(dims),
    ratio: attr.float(ratio),
    purpose: attr.int(purpose),
  };
  const given: Tensor = { dtype: 'int32', dims: [4], data: key };
  const graph = graphOf({ op: 'DropoutMask', inputs: [given], attributes, training: true });
  const found = await forms[0]?.executor.evaluate(graph, new Map([['in0', given]]));
  const [name = ''] = graph.outputs.map((each) => each.name);
  expect(found?.get(name)?.data).toEqual(expected);
  expect(new Set(expected).size).toBe(2);
});
