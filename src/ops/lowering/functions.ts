/** WGSL functions that any kernel may call by name; the compiler defines those that a kernel names. */

// WGSL refuses constant expressions that are not finite; a variable's value is none, whatever it holds.
const infinity = `
fn infinity() -> f32 {
  var bits = 0x7f800000u;
  return bitcast<f32>(bits);
}`;

const nan = `
fn nan() -> f32 {
  var bits = 0x7fc00000u;
  return bitcast<f32>(bits);
}`;

// Bits instead of x != x, which WGSL lets a compiler assume away.
const is_nan = `
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}`;

// Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7, below float32's own rounding of the result.
const erf = `
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    + 0.254829592) * t * exp(-x * x);
  return sign(x) * (1.0 - tail);
}`;

// Some drivers give NaN for tanh of large numbers; from 15 on it is 1 in float32. NaN itself passes through.
const tanh_safe = `
fn tanh_safe(x: f32) -> f32 {
  if (x > 15.0) { return 1.0; }
  if (x < -15.0) { return -1.0; }
  return tanh(x);
}`;

// WGSL leaves pow of a negative base undefined.
const power = `
fn power(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) { return 1.0; }
  if (exponent == 1.0) { return base; }
  if (exponent == 2.0) { return base * base; }
  if (base >= 0.0) { return pow(base, exponent); }
  if (exponent != floor(exponent)) { return nan(); }
  let magnitude = pow(-base, exponent);
  return select(magnitude, -magnitude, abs(exponent) % 2.0 == 1.0);
}`;

// To the nearest number of a type with fewer bits, ties to even. `least` is the exponent of its smallest normal
// number; what is over `largest` becomes `largest` (0), infinite (1) or NaN (2).
const rounded = `
fn rounded(x: f32, mantissa: i32, least: i32, largest: f32, overflow: i32) -> f32 {
  let exponent = i32((bitcast<u32>(x) >> 23u) & 255u) - 127;
  let infinite = exponent == 128 && (bitcast<u32>(x) & 0x7fffffu) == 0u;
  if (exponent == 128 && !infinite) { return x; }
  let place = max(max(exponent, least) - mantissa, -126);
  let step = bitcast<f32>(u32(place + 127) << 23u);
  var y = x;
  if (!infinite) { y = round(x / step) * step; }
  if (!infinite && abs(y) <= largest) { return y; }
  if (overflow == 0) { return sign(x) * largest; }
  if (overflow == 1) { return x * 3e38; }
  return nan();
}`;

// WGSL's log(1 + x) keeps nothing of a small x; three terms of its series do.
const log1p = `
fn log1p(x: f32) -> f32 {
  if (abs(x) > 0.01) { return log(1.0 + x); }
  return x * (1.0 - x * (0.5 - x * 0.33333333));
}`;

// exp(x) - 1 likewise.
const expm1 = `
fn expm1(x: f32) -> f32 {
  if (abs(x) > 0.01) { return exp(x) - 1.0; }
  return x * (1.0 + x * (0.5 + x * 0.16666667));
}`;

// An infinite divisor leaves what has its own sign.
const c_mod = `
fn c_mod(a: f32, b: f32) -> f32 {
  let infinite = (bitcast<u32>(b) & 0x7fffffffu) == 0x7f800000u;
  return select(a - b * trunc(a / b), a, infinite && abs(a) <= 3.4e38);
}`;

const floor_mod = `
fn floor_mod(a: f32, b: f32) -> f32 {
  let rest = c_mod(a, b);
  return select(rest, rest + b, rest != 0.0 && (rest < 0.0) != (b < 0.0));
}`;

// float8e8m0: a power of two, from the bits. `add` decides the direction.
const power_of_two = `
fn power_of_two(x: f32, add: u32) -> f32 {
  return bitcast<f32>((bitcast<u32>(x) + add) & 0xff800000u);
}`;

// The remainder without the dividend's sign: places beyond either end of a row that repeats.
const around = `
fn around(at: i32, length: i32) -> i32 {
  return ((at % length) + length) % length;
}`;

// Places beyond either end of a row between mirrors.
const mirror = `
fn mirror(at: i32, last: i32) -> i32 {
  let phase = around(at, 2 * last);
  return min(phase, 2 * last - phase);
}`;

// Floats as integers of the same order; both zeros are one, and NaN is the largest.
const order_of = `
fn order_of(x: f32) -> i32 {
  if (x == 0.0) { return 0; }
  let bits = bitcast<i32>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) { return 0x7fffffff; }
  return select(bits, bits ^ 0x7fffffff, bits < 0);
}`;

// Philox 4x32-10 (Salmon et al. 2011), bit for bit that of core/philox.ts. WGSL has no product of 64 bits, so the high
// word is made of 16-bit halves, in which nothing overflows.
const philox = `
fn multiply_high(a: u32, b: u32) -> u32 {
  let middle = (a >> 16u) * (b & 0xffffu) + (((a & 0xffffu) * (b & 0xffffu)) >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0; round < 10; round++) {
    c = vec4<u32>(
      multiply_high(0xcd9e8d57u, c.z) ^ c.y ^ k.x,
      0xcd9e8d57u * c.z,
      multiply_high(0xd2511f53u, c.x) ^ c.w ^ k.y,
      0xd2511f53u * c.x,
    );
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`;

const FUNCTIONS: Readonly<Record<string, string>> = {
  infinity,
  nan,
  is_nan,
  erf,
  tanh_safe,
  power,
  rounded,
  log1p,
  expm1,
  c_mod,
  floor_mod,
  power_of_two,
  around,
  mirror,
  order_of,
  philox,
};

/** Definitions of the functions that `code` calls, and of those that they call; each once. */
export function functionsIn(code: string): string {
  const found = new Set<string>();
  const search = (text: string): void => {
    for (const [, name = ''] of text.matchAll(/\b(\w+)\(/g)) {
      const source = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
      if (source === undefined || found.has(source)) continue;
      found.add(source);
      search(source);
    }
  };
  search(code);
  return Array.from(found).join('\n');
}
