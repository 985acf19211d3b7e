/** Batch statistics, the normalised batch and the statistics blended into the running ones; spec.ts has the equations. */
import { floatAttribute } from '../attributes';
import type { ReferenceKernel } from '../define';
import { aroundAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

export const batchNormTrainReference: ReferenceKernel = (node, inputs) => {
  const [x, scale, bias, oldMean, oldVariance] = [0, 1, 2, 3, 4].map((index) =>
    inputValue(node, inputs, index),
  );
  if (!x || !scale || !bias || !oldMean || !oldVariance) return [];
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const keep = floatAttribute(node, 'momentum', 0.9);
  const { outer, length, inner } = aroundAxis(x.dims, 1);
  const y = makeValue(x.dtype, x.dims);
  const [mean, inverse, newMean, newVariance] = [0, 1, 2, 3].map(() =>
    makeValue(x.dtype, [length]),
  );
  if (!mean || !inverse || !newMean || !newVariance) return [];
  for (let c = 0; c < length; c++) {
    let sum = 0;
    for (let n = 0; n < outer; n++) {
      const base = (n * length + c) * inner;
      for (let i = base; i < base + inner; i++) sum += x.data[i] as number;
    }
    const mu = sum / (outer * inner);
    let squares = 0;
    for (let n = 0; n < outer; n++) {
      const base = (n * length + c) * inner;
      for (let i = base; i < base + inner; i++) squares += ((x.data[i] as number) - mu) ** 2;
    }
    const variance = squares / (outer * inner);
    const inv = 1 / Math.sqrt(variance + epsilon);
    const factor = (scale.data[c] as number) * inv;
    for (let n = 0; n < outer; n++) {
      const base = (n * length + c) * inner;
      for (let i = base; i < base + inner; i++) {
        y.data[i] = factor * ((x.data[i] as number) - mu) + (bias.data[c] as number);
      }
    }
    mean.data[c] = mu;
    inverse.data[c] = inv;
    newMean.data[c] = keep * (oldMean.data[c] as number) + (1 - keep) * mu;
    newVariance.data[c] = keep * (oldVariance.data[c] as number) + (1 - keep) * variance;
  }
  return [y, mean, inverse, newMean, newVariance];
};
