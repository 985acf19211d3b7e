/**
 * Watches an activation while calibration rows pass and chooses the range that int8 should cover. Clipping a
 * few outliers buys finer steps for everything else, so among shrunken ranges the one with the least
 *   sum over samples of (x - dequantise(quantise(x)))^2
 * Source: Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3.1 (MSE range
 * setting). The extremes are exact; the error is measured on an evenly thinned sample.
 */
export interface Range {
  readonly min: number;
  readonly max: number;
}

const SAMPLES = 1 << 15;
const SHRINKS = Array.from({ length: 30 }, (_, index) => 0.98 - index * 0.02);

export class RangeObserver {
  #min = 0;
  #max = 0;
  #samples = new Float32Array(SAMPLES);
  #count = 0;
  #stride = 1;
  #phase = 0;

  observe(values: Float32Array): void {
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      if (value < this.#min) this.#min = value;
      if (value > this.#max) this.#max = value;
      if (this.#phase++ % this.#stride === 0) this.#keep(value);
    }
  }

  /** Always holds 0, because padding and ReLU need an exact zero. */
  range(): Range {
    const samples = this.#samples.subarray(0, this.#count);
    let best: Range = { min: this.#min, max: this.#max };
    let least = squaredError(samples, best);
    for (const end of ['max', 'min'] as const) {
      const full = best;
      for (const shrink of SHRINKS) {
        const candidate = { ...full, [end]: full[end] * shrink };
        const error = squaredError(samples, candidate);
        if (error < least) {
          least = error;
          best = candidate;
        }
      }
    }
    return best;
  }

  /** When the sample is full every second value goes and the stride doubles: even, and without chance. */
  #keep(value: number): void {
    if (this.#count === SAMPLES) {
      for (let index = 0; index < SAMPLES / 2; index++)
        this.#samples[index] = this.#samples[index * 2] ?? 0;
      this.#count = SAMPLES / 2;
      this.#stride *= 2;
    }
    this.#samples[this.#count++] = value;
  }
}

function squaredError(samples: Float32Array, range: Range): number {
  const { scale, zeroPoint } = affine(range);
  let sum = 0;
  for (const value of samples) {
    const q = Math.max(-128, Math.min(127, Math.round(value / scale) + zeroPoint));
    const difference = value - (q - zeroPoint) * scale;
    sum += difference * difference;
  }
  return sum;
}

/** Scale and int8 zero point of an asymmetric range: s = (max - min) / 255, z = round(-128 - min / s). */
export function affine({ min, max }: Range): {
  readonly scale: number;
  readonly zeroPoint: number;
} {
  const width = Math.max(max, 0) - Math.min(min, 0);
  const scale = width > 0 ? Math.fround(width / 255) : 1;
  const zeroPoint = Math.max(-128, Math.min(127, Math.round(-128 - Math.min(min, 0) / scale)));
  return { scale, zeroPoint };
}
