/**
 * The optimiser node over all weights in place; equations and papers stand in src/ops/optimisers/spec.ts. Three kernels:
 * squares of the gradients in pieces, their sum with what follows from it, and the update. What differs between pieces
 * of work (addresses, lengths) stands in a table in memory, so that the code does not grow with the weights.
 */
import { sizeOf } from '../../../core/dtype';
import type { OptimiserPlan } from '../../optimiser';
import { control, f32, f32x4, forRange, i32, i32x4, seq, v128 } from './code';
import type { Code, Local } from './code';
import type { KernelContext, StepPlan } from './plan';
import { across } from './reduce';
import { addressOf } from './view';
import type { Buffer, View } from './view';

/** Elements in a piece of work. */
const PIECE = 8192;
/** Words of the table for each piece: w, g, m, v, elements, factor's address, decay (float). */
const WORDS = 8;

/** What the host computes for each step: 1/(1 − β₁ᵗ) and 1/(1 − β₂ᵗ). */
export const HOST_SCALARS = 4;

export interface UpdateParts {
  readonly optimiser: OptimiserPlan;
  /** For each weight: w, gradient (contiguous), m and perhaps v. */
  readonly weights: readonly {
    readonly w: View;
    readonly gradient: View;
    readonly m: View;
    readonly v: View | undefined;
    /** The same memory with the new values. */
    readonly written: readonly Buffer[];
  }[];
  readonly learningRate: View;
  readonly step: View;
  readonly clipNorm: View;
  readonly lossScale: View | undefined;
  readonly factors: View | undefined;
  readonly host: View;
  readonly gradNorm: View;
  readonly stepDone: View;
  /** Fixed memory for the table, `tableWords` long, filled by `fillTable` once addresses are known. */
  readonly table: View;
  readonly temporary: (elements: number) => View;
}

interface Piece {
  readonly weight: number;
  readonly start: number;
  readonly length: number;
}

function pieces(sizes: readonly number[]): Piece[] {
  return sizes.flatMap((size, weight) =>
    Array.from({ length: Math.ceil(size / PIECE) }, (_, index) => ({
      weight,
      start: index * PIECE,
      length: Math.min(PIECE, size - index * PIECE),
    })),
  );
}

export const tableWords = (sizes: readonly number[]): number => pieces(sizes).length * WORDS;

export function fillTable({ weights, factors, optimiser }: UpdateParts): Int32Array {
  const list = pieces(weights.map(({ w }) => sizeOf(w.dims)));
  const words = new Int32Array(list.length * WORDS);
  const floats = new Float32Array(words.buffer);
  list.forEach(({ weight, start, length }, index) => {
    const part = weights[weight];
    if (part === undefined) return;
    const at = (view: View | undefined) => (view === undefined ? 0 : addressOf(view) + 4 * start);
    words.set([at(part.w), at(part.gradient), at(part.m), at(part.v), length], index * WORDS);
    words[index * WORDS + 5] = factors === undefined ? 0 : addressOf(factors) + 4 * weight;
    const decays = optimiser.weights[weight]?.decays === true;
    floats[index * WORDS + 6] = decays ? optimiser.settings.weightDecay : 0;
  });
  return words;
}

export function addUpdate(plan: StepPlan, parts: UpdateParts): void {
  const { weights, optimiser, table, gradNorm, stepDone, host } = parts;
  const sizes = weights.map(({ w }) => sizeOf(w.dims));
  const count = pieces(sizes).length;
  const squares = parts.temporary(count);
  const settled = parts.temporary(4);
  const gradients = weights.map(({ gradient }) => gradient);
  const factors = parts.factors ? [parts.factors] : [];
  const scale = parts.lossScale ? [parts.lossScale] : [];
  const word = (entry: Local, index: number): Code =>
    i32.load(entry.get, addressOf(table) + 4 * index);
  const entryOf = ({ chunk }: KernelContext): Code => i32.mul(chunk.get, i32.const(4 * WORDS));

  plan.kernel({
    name: `${optimiser.kind}: norm`,
    reads: [...gradients, ...factors, ...scale],
    writes: [squares],
    chunks: count,
    write: (context) => {
      const { writer, chunk } = context;
      const [entry, at, end, length] = [writer.int(), writer.int(), writer.int(), writer.int()];
      const [a, b, g] = [writer.vector(), writer.vector(), writer.vector()];
      const sum = writer.float();
      const load = (offset: number) => g.set(v128.load(at.get, offset));
      const add = (total: Local) => total.set(f32x4.add(total.get, f32x4.mul(g.get, g.get)));
      const rest = (lane: number) =>
        control.if(
          i32.gtS(i32.and(length.get, i32.const(3)), i32.const(lane)),
          seq(
            sum.set(f32.load(at.get, 4 * lane)),
            a.set(
              f32x4.add(
                a.get,
                v128.and(
                  f32x4.splat(f32.mul(sum.get, sum.get)),
                  i32x4.lanes([0, 1, 2, 3].map((index) => (index === lane ? -1 : 0))),
                ),
              ),
            ),
          ),
        );
      return seq(
        entry.set(entryOf(context)),
        length.set(word(entry, 4)),
        a.set(f32x4.const(0)),
        b.set(f32x4.const(0)),
        end.set(i32.add(word(entry, 1), i32.mul(i32.and(length.get, i32.const(-8)), i32.const(4)))),
        forRange(at, word(entry, 1), end.get, 32, seq(load(0), add(a), load(16), add(b))),
        at.set(end.get),
        control.if(i32.and(length.get, i32.const(4)), seq(load(0), add(a), at.increase(16))),
        ...[0, 1, 2].map(rest),
        a.set(f32x4.add(a.get, b.get)),
        across(a, 'sum'),
        sum.set(f32x4.lane(a.get, 0)),
        ...(parts.factors === undefined
          ? []
          : [
              // 0 · g² is NaN where g is not finite: a resting weight that breaks stops the step too.
              control.if(
                f32.eq(f32.load(word(entry, 5)), f32.const(0)),
                sum.set(f32.mul(sum.get, f32.const(0))),
              ),
            ]),
        f32.store(i32.mul(chunk.get, i32.const(4)), sum.get, addressOf(squares)),
      );
    },
  });

  plan.kernel({
    name: `${optimiser.kind}: scale`,
    reads: [squares, parts.clipNorm, parts.step, ...scale],
    writes: [settled, gradNorm, stepDone],
    chunks: 1,
    write: ({ writer }) => {
      const at = writer.int();
      const [sum, clip, factor] = [writer.float(), writer.float(), writer.float()];
      const zero = i32.const(0);
      const inverse =
        parts.lossScale === undefined
          ? f32.const(1)
          : f32.div(f32.const(1), f32.load(zero, addressOf(parts.lossScale)));
      return seq(
        sum.set(f32.const(0)),
        forRange(
          at,
          zero,
          i32.const(4 * count),
          4,
          sum.set(f32.add(sum.get, f32.load(at.get, addressOf(squares)))),
        ),
        factor.set(inverse),
        sum.set(f32.mul(f32.sqrt(sum.get), factor.get)),
        clip.set(f32.load(zero, addressOf(parts.clipNorm))),
        f32.store(zero, sum.get, addressOf(gradNorm)),
        f32.store(zero, f32.load(zero, addressOf(parts.step)), addressOf(stepDone)),
        control.if(
          i32.and(f32.gt(clip.get, f32.const(0)), f32.gt(sum.get, clip.get)),
          factor.set(f32.mul(factor.get, f32.div(clip.get, sum.get))),
        ),
        f32.store(zero, factor.get, addressOf(settled)),
        // 0 where the norm is finite, else NaN: then nothing is changed.
        f32.store(zero, f32.sub(sum.get, sum.get), addressOf(settled) + 4),
      );
    },
  });

  const moments = weights.flatMap(({ m, v }) => (v ? [m, v] : [m]));
  plan.kernel({
    name: optimiser.kind,
    last: true,
    reads: [
      settled,
      ...gradients,
      parts.learningRate,
      host,
      ...factors,
      ...weights.map(({ w }) => w),
      ...moments,
    ],
    writes: weights.flatMap(({ written, w }) => written.map((buffer) => ({ ...w, buffer }))),
    chunks: count,
    write: (context) => {
      const { writer } = context;
      const [entry, at, end] = [writer.int(), writer.int(), writer.int()];
      const [g0, m0, v0, gAt, mAt, vAt] = [0, 1, 2, 3, 4, 5].map(() => writer.int()) as [
        Local,
        Local,
        Local,
        Local,
        Local,
        Local,
      ];
      const scalars = new Scalars(
        parts,
        writer.vector(),
        writer.vector(),
        writer.vector(),
        writer.vector(),
        writer.vector(),
      );
      const [w, g, m, v, u] = writer.vectors(5) as [Local, Local, Local, Local, Local];
      const rate = writer.float();
      const zero = i32.const(0);
      const factor =
        parts.factors === undefined ? rate.get : f32.mul(rate.get, f32.load(word(entry, 5)));
      const body = seq(
        g.set(f32x4.mul(v128.load(gAt.get), scalars.scale.get)),
        w.set(v128.load(at.get)),
        m.set(v128.load(mAt.get)),
        ...(usesV(parts) ? [v.set(v128.load(vAt.get))] : []),
        formulas(parts, scalars, { w, g, m, v, u }),
        v128.store(at.get, w.get),
        v128.store(mAt.get, m.get),
        ...(usesV(parts) ? [v128.store(vAt.get, v.get)] : []),
        gAt.increase(16),
        mAt.increase(16),
        vAt.increase(16),
      );
      return control.if(
        f32.eq(f32.load(zero, addressOf(settled) + 4), f32.const(0)),
        seq(
          entry.set(entryOf(context)),
          at.set(word(entry, 0)),
          ...[g0, m0, v0].map((local, index) => local.set(word(entry, index + 1))),
          gAt.set(g0.get),
          mAt.set(m0.get),
          vAt.set(v0.get),
          rate.set(f32.load(zero, addressOf(parts.learningRate))),
          rate.set(factor),
          scalars.scale.set(v128.loadSplat(zero, addressOf(settled))),
          scalars.rate.set(f32x4.splat(rate.get)),
          scalars.kept.set(
            f32x4.splat(
              f32.sub(f32.const(1), f32.mul(rate.get, f32.load(entry.get, addressOf(table) + 24))),
            ),
          ),
          scalars.first.set(v128.loadSplat(zero, addressOf(host))),
          scalars.second.set(v128.loadSplat(zero, addressOf(host) + 4)),
          // Entries of the State end with room for a whole vector.
          end.set(i32.add(at.get, i32.mul(word(entry, 4), i32.const(4)))),
          forRange(at, at.get, end.get, 16, body),
        ),
      );
    },
  });
}

const usesV = ({ optimiser }: UpdateParts): boolean =>
  optimiser.kind === 'Adam' || optimiser.kind === 'AdamW';

class Scalars {
  constructor(
    readonly parts: UpdateParts,
    readonly scale: Local,
    readonly rate: Local,
    readonly kept: Local,
    readonly first: Local,
    readonly second: Local,
  ) {}
}

type Vectors = Readonly<Record<'w' | 'g' | 'm' | 'v' | 'u', Local>>;

function formulas(
  { optimiser }: UpdateParts,
  { rate, kept, first, second }: Scalars,
  { w, g, m, v, u }: Vectors,
): Code {
  const { add, sub, mul, div, sqrt } = f32x4;
  const c = f32x4.const;
  const { beta1, beta2, epsilon, momentum } = optimiser.settings;
  const blend = (old: Code, beta: number, value: Code) =>
    add(mul(old, c(beta)), mul(value, c(1 - beta)));
  switch (optimiser.kind) {
    case 'SGD':
      return seq(
        m.set(add(mul(m.get, c(momentum)), g.get)),
        w.set(sub(w.get, mul(rate.get, m.get))),
      );
    case 'Lion': {
      const one = v128.or(v128.and(u.get, i32x4.const(-0x80000000)), c(1));
      const zero = f32x4.eq(u.get, c(0));
      return seq(
        u.set(blend(m.get, beta1, g.get)),
        u.set(v128.andNot(one, zero)),
        w.set(sub(mul(w.get, kept.get), mul(rate.get, u.get))),
        m.set(blend(m.get, beta2, g.get)),
      );
    }
    default:
      return seq(
        m.set(blend(m.get, beta1, g.get)),
        v.set(blend(v.get, beta2, mul(g.get, g.get))),
        u.set(add(sqrt(mul(v.get, second.get)), c(epsilon))),
        w.set(sub(mul(w.get, kept.get), div(mul(mul(rate.get, first.get), m.get), u.get))),
      );
  }
}
