/**
 * The one source of randomness: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy
 * as 1, 2, 3", SC 2011). Counter based: a number depends only on (seed, counter), never on how many were
 * drawn before, so every executor, every batch split and every resumed run sees the same numbers.
 *
 * Key = seed (low word, high word). Counter = (block, row, step or index, hash of the purpose).
 */
import { AppError } from './errors';

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const TWO_32 = 2 ** 32;

export type Word4 = readonly [number, number, number, number];
export type Word2 = readonly [number, number];

/** High 32 bits of the unsigned product, by 16-bit halves: every partial sum stays below 2^32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + (middle >>> 16) + (other >>> 16);
}

/** Writes the four words of one counter to `out`; the form for hot loops. */
export function philoxInto(
  out: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0 >>> 0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2 >>> 0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  // A Uint32Array stores each word modulo 2^32, so signs vanish here.
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Four uint32 for one counter. */
export function philox4x32(counter: Word4, key: Word2): [number, number, number, number] {
  const out = new Uint32Array(4);
  philoxInto(out, ...counter, ...key);
  const [a = 0, b = 0, c = 0, d = 0] = out;
  return [a, b, c, d];
}

/** FNV-1a over the UTF-8 bytes: turns a purpose such as `shuffle` or `dropout:mlp.drop1` into a counter word. */
export function purposeHash(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The two key words of a seed: an integer from 0 to 2^53 - 1. */
export function seedKey(seed: number): Word2 {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new AppError(
      'random/seed',
      `The seed must be a whole number from 0 to 9007199254740991, not ${seed}.`,
      { seed },
    );
  }
  return [seed >>> 0, Math.floor(seed / TWO_32)];
}

/** An endless stream for one (seed, purpose, index). Equal arguments give equal numbers, always. */
export class PhiloxStream {
  readonly #key: Word2;
  readonly #purpose: number;
  readonly #index: number;
  readonly #words = new Uint32Array(4);
  #block = 0;
  #next = 4;
  #spare: number | null = null;

  constructor(seed: number, purpose: string, index = 0) {
    this.#key = seedKey(seed);
    this.#purpose = purposeHash(purpose);
    this.#index = index;
  }

  uint32(): number {
    if (this.#next === 4) {
      const block = this.#block++;
      philoxInto(
        this.#words,
        block >>> 0,
        Math.floor(block / TWO_32),
        this.#index,
        this.#purpose,
        ...this.#key,
      );
      this.#next = 0;
    }
    return this.#words[this.#next++] ?? 0;
  }

  /** Uniform in [0, 1), 32 bits fine. */
  uniform(): number {
    return this.uint32() / TWO_32;
  }

  /** Uniform integer in [0, count), without modulo bias. */
  below(count: number): number {
    const limit = TWO_32 - (TWO_32 % count);
    for (;;) {
      const word = this.uint32();
      if (word < limit) return word % count;
    }
  }

  /** Standard normal by Box and Muller (1958); the second of each pair is kept for the next call. */
  normal(): number {
    if (this.#spare !== null) {
      const value = this.#spare;
      this.#spare = null;
      return value;
    }
    // (word + 1) / 2^32 lies in (0, 1], so the logarithm is finite.
    const radius = Math.sqrt(-2 * Math.log((this.uint32() + 1) / TWO_32));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}

/** Standard normals for one tensor, scaled by `deviation`. Host only: kernels never make normals. */
export function normals(
  length: number,
  deviation: number,
  seed: number,
  purpose: string,
  index = 0,
): Float32Array {
  const stream = new PhiloxStream(seed, purpose, index);
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) out[i] = stream.normal() * deviation;
  return out;
}

/** A random order of 0 … n-1 (Fisher and Yates); another one for each epoch. */
export function permutation(n: number, seed: number, purpose: string, epoch: number): Uint32Array {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  const stream = new PhiloxStream(seed, purpose, epoch);
  for (let i = n - 1; i > 0; i--) {
    const j = stream.below(i + 1);
    const value = order[i] ?? 0;
    order[i] = order[j] ?? 0;
    order[j] = value;
  }
  return order;
}

/** Where a dropout mask stands among all numbers of a run. */
export interface DropoutMaskOptions {
  /** Share of elements dropped, in [0, 1). */
  readonly ratio: number;
  /** Elements of one row; `out` holds whole rows. */
  readonly rowSize: number;
  /** Words of `dropoutKey`. */
  readonly key: ArrayLike<number>;
  /** `purposeHash` of what the mask is for. */
  readonly purpose: number;
}

/**
 * What the masks of a step depend on: [seed low, seed high, step (1-based), part]. A step in several micro-batches
 * counts its parts from 0, so that its masks are those of the whole batch. Words as int32, the bits of uint32.
 */
export function dropoutKey(seed: number, step: number, part = 0): Int32Array {
  return Int32Array.of(...seedKey(seed), step, part);
}

/** Words below it are dropped: the comparison is of integers, so a mask is the same bits on every machine. */
export function dropoutThreshold(ratio: number): number {
  return Math.round(ratio * TWO_32);
}

/** Fills a dropout mask: 0 where dropped, else 1 / (1 - ratio). */
export function fillDropoutMask(out: Float32Array, options: DropoutMaskOptions): void {
  const { ratio, rowSize, key, purpose } = options;
  const [k0 = 0, k1 = 0, step = 0, part = 0] = Array.from(key);
  const threshold = dropoutThreshold(ratio);
  const kept = 1 / (1 - ratio);
  const words = new Uint32Array(4);
  for (
    let start = 0, row = part * (out.length / rowSize);
    start < out.length;
    start += rowSize, row++
  ) {
    const end = Math.min(start + rowSize, out.length);
    for (let i = start, block = 0; i < end; i += 4, block++) {
      philoxInto(words, block, row, step, purpose, k0, k1);
      const count = Math.min(4, end - i);
      for (let lane = 0; lane < count; lane++) {
        out[i + lane] = (words[lane] ?? 0) >= threshold ? kept : 0;
      }
    }
  }
}
