/**
 * Functions of four numbers at a time, within about two units in the last place. Polynomials and reductions of the
 * argument are those of Cephes (Moshier 1989, single precision); each says where it differs. Arguments are given as
 * locals, because they are read more than once.
 */
import { f32x4, i32x4, v128 } from './code';
import type { Code, Local } from './code';
import type { FunctionWriter } from './module';

const { add, sub, mul, div } = f32x4;
const number = f32x4.const;
const SIGN = i32x4.const(-0x80000000);

/** c₀·xⁿ + c₁·xⁿ⁻¹ + …, by Horner's rule. */
function polynomial(x: Code, coefficients: readonly number[]): Code {
  const [first = 0, ...rest] = coefficients;
  return rest.reduce((sum, c) => add(mul(sum, x), number(c)), number(first));
}

/** A value that is read more than once: `set` goes first. */
function kept(writer: FunctionWriter, value: Code): { set: Code; get: Code; local: Local } {
  const local = writer.vector();
  return { set: local.set(value), get: local.get, local };
}

/** pmin and pmax: `bound` where x is greater, NaN stays; f32x4.min takes several instructions on x86. */
export const atMost = (x: Code, bound: number): Code => [...x, ...number(bound), 0xfd, 0xea, 0x01];
export const atLeast = (x: Code, bound: number): Code => [...x, ...number(bound), 0xfd, 0xeb, 0x01];

/** 1.5 · 2²³: added to a small number it leaves the nearest whole number in the lowest bits. */
const ROUND = 12582912;
const ROUND_BITS = 0x4b400000;

/** eˣ = 2ⁿ·eʳ, |r| ≤ ½·ln 2. Results below 1.7e-38 are 0. */
export function exp(writer: FunctionWriter, x: Local): Code {
  const clamped = kept(writer, atLeast(atMost(x.get, 89), -87.3));
  const lifted = kept(writer, add(mul(clamped.get, number(Math.LOG2E)), number(ROUND)));
  const n = kept(writer, sub(lifted.get, number(ROUND)));
  const high = sub(clamped.get, mul(n.get, number(0.693359375)));
  const r = kept(writer, sub(high, mul(n.get, number(-2.1219444e-4))));
  const tail = polynomial(
    r.get,
    [
      1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
      5.0000001201e-1,
    ],
  );
  const value = add(add(mul(tail, mul(r.get, r.get)), r.get), number(1));
  // 2ⁿ⁻¹ and then 2, because 2¹²⁸ itself is too large.
  const scale = i32x4.shl(i32x4.add(lifted.get, i32x4.const(126 - ROUND_BITS)), 23);
  const scaled = mul(mul(value, scale), number(2));
  return [...clamped.set, ...lifted.set, ...n.set, ...r.set, ...scaled];
}

/** ln x = ln m + e·ln 2, m in [√½, √2); −∞ at 0, NaN below. */
export function log(writer: FunctionWriter, x: Local): Code {
  const tiny = f32x4.lt(x.get, number(1.17549435e-38));
  const lifted = kept(writer, v128.select(mul(x.get, number(8388608)), x.get, tiny));
  const raw = i32x4.sub(i32x4.shrU(lifted.get, 23), i32x4.const(126));
  const fraction = v128.or(v128.and(lifted.get, i32x4.const(0x007fffff)), i32x4.const(0x3f000000));
  const m = kept(writer, fraction);
  const small = kept(writer, f32x4.lt(m.get, number(Math.SQRT1_2)));
  const exponent = i32x4.sub(raw, v128.and(tiny, i32x4.const(23)));
  const e = kept(writer, f32x4.fromI32(i32x4.add(exponent, small.get)));
  const t = kept(writer, sub(add(m.get, v128.and(m.get, small.get)), number(1)));
  const z = kept(writer, mul(t.get, t.get));
  const series = polynomial(
    t.get,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1,
      -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  const y = add(mul(mul(series, t.get), z.get), mul(e.get, number(-2.1219444e-4)));
  const sum = add(t.get, sub(y, mul(z.get, number(0.5))));
  const result = add(sum, mul(e.get, number(0.693359375)));
  const finite = v128.select(x.get, result, f32x4.eq(x.get, number(Infinity)));
  const atZero = v128.select(number(-Infinity), finite, f32x4.eq(x.get, number(0)));
  // NaN is not ≥ 0 and comes out as NaN too.
  const value = v128.select(atZero, number(NaN), f32x4.ge(x.get, number(0)));
  return [...lifted.set, ...m.set, ...small.set, ...e.set, ...t.set, ...z.set, ...value];
}

/** Odd: x + x·z·P(z) near 0, else 1 − 2 / (e^2|x| + 1) with x's sign. */
export function tanh(writer: FunctionWriter, x: Local): Code {
  const z = kept(writer, mul(x.get, x.get));
  const near = kept(
    writer,
    add(
      x.get,
      mul(
        x.get,
        mul(
          z.get,
          polynomial(
            z.get,
            [
              -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
              -3.33332819422e-1,
            ],
          ),
        ),
      ),
    ),
  );
  const magnitude = kept(writer, f32x4.abs(x.get));
  const twice = writer.vector();
  const doubled = twice.set(atMost(add(magnitude.get, magnitude.get), 40));
  const far = sub(number(1), div(number(2), add(exp(writer, twice), number(1))));
  const value = v128.select(
    near.get,
    v128.or(far, v128.and(x.get, SIGN)),
    f32x4.lt(magnitude.get, number(0.625)),
  );
  // select evaluates `far` after `near`; both are ready before it.
  return [...z.set, ...near.set, ...magnitude.set, ...doubled, ...value];
}

/** Below 1 its Taylor series; above, Abramowitz & Stegun 7.1.26 (|error| ≤ 1.5e-7, about two units there). */
export function erf(writer: FunctionWriter, x: Local): Code {
  const z = kept(writer, mul(x.get, x.get));
  const series: number[] = [];
  for (let n = 10, factorial = 3628800; n >= 0; factorial /= Math.max(n, 1), n--) {
    series.push(((n % 2 === 0 ? 1 : -1) * 2) / Math.sqrt(Math.PI) / (factorial * (2 * n + 1)));
  }
  const near = kept(writer, mul(x.get, polynomial(z.get, series)));
  const magnitude = kept(writer, f32x4.abs(x.get));
  const t = kept(writer, div(number(1), add(number(1), mul(magnitude.get, number(0.3275911)))));
  const minus = writer.vector();
  const fit = polynomial(
    t.get,
    [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0],
  );
  const tail = mul(fit, exp(writer, minus));
  const far = v128.or(sub(number(1), tail), v128.and(x.get, SIGN));
  const value = v128.select(near.get, far, f32x4.lt(magnitude.get, number(1)));
  return [
    ...z.set,
    ...near.set,
    ...magnitude.set,
    ...t.set,
    ...minus.set(f32x4.neg(z.get)),
    ...value,
  ];
}

/** sin of x, or of x + ½·π: by eighths of a turn, taken off in three parts; good to |x| of some thousands. */
function circular(writer: FunctionWriter, x: Local, quarter: 0 | 1): Code {
  const n = kept(writer, f32x4.nearest(mul(x.get, number(2 / Math.PI))));
  const r = kept(
    writer,
    sub(
      sub(sub(x.get, mul(n.get, number(1.5703125))), mul(n.get, number(4.837512969970703e-4))),
      mul(n.get, number(7.549789948768648e-8)),
    ),
  );
  const z = kept(writer, mul(r.get, r.get));
  const sine = add(
    r.get,
    mul(
      mul(r.get, z.get),
      polynomial(z.get, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]),
    ),
  );
  const cosine = add(
    sub(number(1), mul(z.get, number(0.5))),
    mul(
      mul(z.get, z.get),
      polynomial(z.get, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]),
    ),
  );
  const turn = kept(writer, i32x4.add(i32x4.truncF32(n.get), i32x4.const(quarter)));
  const odd = i32x4.ne(v128.and(turn.get, i32x4.const(1)), i32x4.const(0));
  const sign = i32x4.shl(v128.and(turn.get, i32x4.const(2)), 30);
  const value = v128.xor(v128.select(cosine, sine, odd), sign);
  return [...n.set, ...r.set, ...z.set, ...turn.set, ...value];
}

export const sin = (writer: FunctionWriter, x: Local): Code => circular(writer, x, 0);
export const cos = (writer: FunctionWriter, x: Local): Code => circular(writer, x, 1);

/** eˣ − 1 without losing small x: its Taylor series up to ½. */
export function expm1(writer: FunctionWriter, x: Local): Code {
  const series = [1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1];
  const near = mul(x.get, polynomial(x.get, series));
  const far = sub(exp(writer, x), number(1));
  return v128.select(near, far, f32x4.lt(f32x4.abs(x.get), number(0.5)));
}

/** ln(1 + x) = ln u · x / (u − 1), u = 1 + x rounded (Goldberg 1991, theorem 4). */
export function log1p(writer: FunctionWriter, x: Local): Code {
  const u = writer.vector();
  const less = kept(writer, sub(u.get, number(1)));
  const quotient = div(mul(log(writer, u), x.get), less.get);
  const value = v128.select(x.get, quotient, f32x4.eq(less.get, number(0)));
  const endless = v128.select(x.get, value, f32x4.eq(x.get, number(Infinity)));
  return [...u.set(add(x.get, number(1))), ...less.set, ...endless];
}

/** −1, 0 or 1; NaN stays. */
export function sign(x: Local): Code {
  const one = v128.or(v128.and(x.get, SIGN), number(1));
  return v128.select(one, x.get, v128.or(f32x4.lt(x.get, number(0)), f32x4.gt(x.get, number(0))));
}
