/**
 * Symmetric int8 weights with one scale an output channel:
 *   s_c = max|w_c| / 127,   q = round(w / s_c) in [-127, 127],   w ~ s_c q
 * Source: Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 2; range as in ONNX
 * QuantizeLinear, without -128 so that the range is symmetric.
 */
export interface QuantisedWeight {
  readonly values: Int8Array;
  /** One a channel. */
  readonly scales: Float32Array;
}

/**
 * `floor` holds the smallest scale allowed for a channel: a bias stored in int32 at scale s_x s_c must not
 * overflow, which a channel of (almost) zero weights would otherwise cause.
 */
export function quantiseWeight(
  weight: Float32Array,
  dims: readonly number[],
  axis: number,
  floor?: Float32Array,
): QuantisedWeight {
  const channels = dims[axis] ?? 1;
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const channelOf = (index: number) => Math.floor(index / inner) % channels;
  const scales = new Float32Array(channels);
  for (const [index, value] of weight.entries()) {
    const channel = channelOf(index);
    scales[channel] = Math.max(scales[channel] ?? 0, Math.abs(value) / 127);
  }
  for (let channel = 0; channel < channels; channel++) {
    const scale = Math.max(scales[channel] ?? 0, floor?.[channel] ?? 0);
    scales[channel] = scale > 0 ? scale : 1;
  }
  const values = new Int8Array(weight.length);
  for (const [index, value] of weight.entries()) {
    const scaled = Math.round(value / (scales[channelOf(index)] ?? 1));
    values[index] = Math.max(-127, Math.min(127, scaled));
  }
  return { values, scales };
}
