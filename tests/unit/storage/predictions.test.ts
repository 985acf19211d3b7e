import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import type { PredictionRow } from '../../../src/protocol/entities';
import { packPredictions, unpackPredictions } from '../../../src/storage/evaluations';

const figure = fc.double({ noNaN: false });

describe('packed predictions', () => {
  test('come back exactly, whatever the figures', () => {
    const predictions = fc.integer({ min: 0, max: 12 }).chain((classes) =>
      fc.array(
        fc.record<PredictionRow>({
          row: fc.nat(),
          actual: figure,
          predicted: figure,
          probabilities: fc.array(figure, { minLength: classes, maxLength: classes }),
        }),
        { maxLength: 20 },
      ),
    );
    fc.assert(
      fc.property(predictions, (rows) => {
        expect(unpackPredictions(packPredictions(rows))).toEqual(rows);
      }),
    );
  });

  test('rows with unequal numbers of probabilities are a mistake of ours', () => {
    const row = { row: 0, actual: 0, predicted: 0 };
    expect(() =>
      packPredictions([
        { ...row, probabilities: [1] },
        { ...row, probabilities: [0.5, 0.5] },
      ]),
    ).toThrow('as many probabilities');
  });

  test.each([0, 7, 8, 24])('%i bytes that cannot be predictions are refused', (length) => {
    const bytes = new Uint8Array(length).fill(1).buffer;
    expect(() => unpackPredictions(bytes)).toThrow(
      expect.objectContaining({ code: 'store/corrupt' }),
    );
  });
});
