/** Layer, RMS and batch norm with their gradients; equations stand in the operators' specs. */
import { sizeOf } from '../../../../core/dtype';
import { floatAttribute } from '../../../../ops/attributes';
import { axisOf } from '../../../../ops/normalisation/layer';
import { raise, Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { control, f32, f32x4, i32, repeat, seq, v128 } from '../code';
import type { Code, Local } from '../code';
import type { Formula } from '../plan';
import { storeVector } from '../pointwise';
import { across, masked } from '../reduce';
import { rowsKernel } from '../rows';
import { addressOf, whole } from '../view';
import type { View } from '../view';

const { add, sub, mul, div, sqrt, const: number } = f32x4;

interface Shape {
  readonly rows: number;
  readonly length: number;
}

function shapeOf(call: Call, x: View): Shape {
  const length = sizeOf(x.dims.slice(axisOf(call.node, x.dims.length)));
  return { rows: sizeOf(x.dims) / length, length };
}

/** A scale or bias with one number for each element of a row. */
function parameter(call: Call, index: number, length: number): View {
  const view = call.contiguous(call.input(index));
  if (sizeOf(view.dims) !== length) throw new Unsupported(call.node.op);
  return view;
}

/** LayerNormalization (with a mean) and both forms of RMS norm. */
const normalise =
  (centre: boolean): Lowering =>
  (call) => {
    const x = call.contiguous(call.input(0));
    const { rows, length } = shapeOf(call, x);
    const scale = parameter(call, 1, length);
    const bias = call.has(2) ? parameter(call, 2, length) : undefined;
    const epsilon = floatAttribute(call.node, 'epsilon', 1e-5);
    const y = call.output(0, x.dims);
    const means = centre && call.wants(1) ? call.output(1) : undefined;
    const at = centre ? 2 : 1;
    const inverses = call.wants(at) ? call.output(at) : undefined;
    const statistics = [means, inverses].filter((view) => view !== undefined);
    call.plan.kernel(
      rowsKernel({
        name: call.node.op,
        rows,
        length,
        reads: bias ? [x, scale, bias] : [x, scale],
        writes: [y, ...statistics],
        row: (row) => {
          const { writer, index, column } = row;
          const [mean, inverse, value] = writer.vectors(3) as [Local, Local, Local];
          const place = writer.int();
          const load = v128.load(row.at.get, addressOf(x));
          const centred = centre ? sub(load, mean.get) : load;
          const keep = (view: View | undefined, local: Local) =>
            view ? f32.store(place.get, f32x4.lane(local.get, 0), addressOf(view)) : [];
          const scaled = mul(mul(centred, inverse.get), v128.load(column.get, addressOf(scale)));
          const shifted = bias ? add(scaled, v128.load(column.get, addressOf(bias))) : scaled;
          return seq(
            centre
              ? seq(
                  row.fold(mean, 'sum', () => load),
                  mean.set(div(mean.get, number(length))),
                )
              : [],
            row.fold(inverse, 'sum', () => seq(value.set(centred), mul(value.get, value.get))),
            inverse.set(
              div(number(1), sqrt(add(div(inverse.get, number(length)), number(epsilon)))),
            ),
            place.set(i32.mul(index.get, i32.const(4))),
            keep(means, mean),
            keep(inverses, inverse),
            row.pass((lanes) =>
              seq(value.set(shifted), storeVector(row.at, value.get, addressOf(y), lanes)),
            ),
          );
        },
      }),
    );
  };

/** dX row by row, then dScale and dBias column by column, each over the rows in order. */
const normGradient =
  (centre: boolean): Lowering =>
  (call) => {
    const [dy, x] = [call.contiguous(call.input(0)), call.contiguous(call.input(1))];
    const { rows, length } = shapeOf(call, x);
    const scale = parameter(call, 2, length);
    const mean = centre ? call.contiguous(call.input(3)) : undefined;
    const inverse = call.contiguous(call.input(centre ? 4 : 3));
    const reads = [dy, x, scale, inverse, ...(mean ? [mean] : [])];
    const normal = (at: Local, place: Local): Code => {
      const load = v128.load(at.get, addressOf(x));
      const centred = mean ? sub(load, v128.loadSplat(place.get, addressOf(mean))) : load;
      return mul(centred, v128.loadSplat(place.get, addressOf(inverse)));
    };
    if (call.wants(0)) {
      const dx = call.output(0, x.dims);
      call.plan.kernel(
        rowsKernel({
          name: call.node.op,
          rows,
          length,
          reads,
          writes: [dx],
          row: (row) => {
            const { writer, at, index, column } = row;
            const [h, n, sum, dot] = writer.vectors(4) as [Local, Local, Local, Local];
            const place = writer.int();
            const parts = seq(
              h.set(mul(v128.load(at.get, addressOf(dy)), v128.load(column.get, addressOf(scale)))),
              n.set(normal(at, place)),
            );
            const less = sub(sub(h.get, sum.get), mul(n.get, dot.get));
            const share = number(1 / length);
            return seq(
              place.set(i32.mul(index.get, i32.const(4))),
              sum.set(number(0)),
              dot.set(number(0)),
              row.pass((lanes) =>
                seq(
                  parts,
                  ...(centre ? [sum.set(add(sum.get, masked(h.get, lanes, 'sum')))] : []),
                  dot.set(add(dot.get, masked(mul(h.get, n.get), lanes, 'sum'))),
                ),
              ),
              centre ? seq(across(sum, 'sum'), sum.set(mul(sum.get, share))) : [],
              across(dot, 'sum'),
              dot.set(mul(dot.get, share)),
              row.pass((lanes) =>
                seq(
                  parts,
                  h.set(mul(less, v128.loadSplat(place.get, addressOf(inverse)))),
                  storeVector(at, h.get, addressOf(dx), lanes),
                ),
              ),
            );
          },
        }),
      );
    }
    const dScale = call.wants(1) ? call.output(1) : undefined;
    const dBias = centre && call.wants(2) ? call.output(2) : undefined;
    const written = [dScale, dBias].filter((view) => view !== undefined);
    if (written.length === 0) return;
    const BLOCK = 16;
    const blocks = Math.ceil(length / BLOCK);
    call.plan.kernel({
      name: `${call.node.op}: parameters`,
      reads,
      writes: written,
      chunks: blocks,
      write: ({ writer, chunk }) => {
        const [at, place, counter, column] = [0, 1, 2, 3].map(() => writer.int()) as [
          Local,
          Local,
          Local,
          Local,
        ];
        const part = (width: number): Code => {
          const count = Math.ceil(width / 4);
          const [scales, biases] = [writer.vectors(count), writer.vectors(count)];
          const [g, moved] = [writer.vector(), writer.int()];
          const step = seq(
            moved.set(at.get),
            ...scales.map((sum, j) =>
              seq(
                g.set(v128.load(moved.get, addressOf(dy))),
                dScale ? sum.set(add(sum.get, mul(g.get, normal(moved, place)))) : [],
                (biases[j] ?? raise()).set(add((biases[j] ?? raise()).get, g.get)),
                moved.increase(16),
              ),
            ),
            at.increase(4 * length),
            place.increase(4),
          );
          const store = (view: View | undefined, sums: readonly Local[]) =>
            view
              ? sums.map((sum, j) =>
                  storeVector(
                    column,
                    sum.get,
                    addressOf(view) + 16 * j,
                    Math.min(4, width - 4 * j),
                  ),
                )
              : [];
          return seq(
            ...[...scales, ...biases].map((sum) => sum.set(number(0))),
            at.set(column.get),
            place.set(i32.const(0)),
            repeat(counter, rows, step),
            ...store(dScale, scales),
            ...store(dBias, biases),
          );
        };
        const edge = length % BLOCK;
        const body =
          edge === 0
            ? part(BLOCK)
            : blocks === 1
              ? part(edge)
              : control.if(i32.ltS(chunk.get, i32.const(blocks - 1)), part(BLOCK), part(edge));
        return seq(column.set(i32.mul(chunk.get, i32.const(4 * BLOCK))), body);
      },
    });
  };

interface Channels {
  readonly batch: number;
  readonly channels: number;
  readonly inner: number;
}

function channelsOf(x: View): Channels {
  const [batch = 1, channels = 1, ...space] = x.dims;
  return { batch, channels, inner: sizeOf(space) };
}

/** Runs over one channel's elements, of every image in order; `at` begins at the channel's offset. */
function overChannel(
  writer: Parameters<Formula>[0],
  { batch, channels, inner }: Channels,
  channel: Local,
  at: Local,
  body: (lanes: number) => Code,
): Code {
  const [image, counter] = [writer.int(), writer.int()];
  const vectors = Math.floor(inner / 4);
  const code = seq(
    at.set(i32.mul(channel.get, i32.const(4 * inner))),
    repeat(
      image,
      batch,
      seq(
        repeat(counter, vectors, seq(body(4), at.increase(16))),
        inner % 4 === 0 ? [] : body(inner % 4),
        at.increase(4 * channels * inner - 16 * vectors),
      ),
    ),
  );
  writer.release(image, counter);
  return code;
}

/** One number for each channel, as it stands beside x. */
function beside(view: View, x: View): View {
  const dims = x.dims.map((dim, axis) => (axis === 1 ? dim : 1));
  return whole(view.buffer, dims, 'float');
}

const batchNormTrain: Lowering = (call) => {
  const x = call.contiguous(call.input(0));
  const [scale, bias, oldMean, oldVariance] = [1, 2, 3, 4].map((index) =>
    call.contiguous(call.input(index)),
  ) as [View, View, View, View];
  const epsilon = floatAttribute(call.node, 'epsilon', 1e-5);
  const keep = floatAttribute(call.node, 'momentum', 0.9);
  const shape = channelsOf(x);
  const { batch, channels, inner } = shape;
  const count = batch * inner;
  const channelDims = [channels];
  const [mean, inverse, newMean, newVariance] = [1, 2, 3, 4].map((index) =>
    call.output(index, channelDims, 'float'),
  ) as [View, View, View, View];
  call.plan.kernel({
    name: 'BatchNormTrain: statistics',
    reads: [x, oldMean, oldVariance],
    writes: [mean, inverse, newMean, newVariance],
    chunks: channels,
    write: ({ writer, chunk }) => {
      const [at, place] = [writer.int(), writer.int()];
      const [mu, variance, value] = writer.vectors(3) as [Local, Local, Local];
      const load = v128.load(at.get, addressOf(x));
      const store = (view: View, code: Code) =>
        f32.store(place.get, f32x4.lane(code, 0), addressOf(view));
      const blend = (old: View, fresh: Code) =>
        add(
          mul(v128.loadSplat(place.get, addressOf(old)), number(keep)),
          mul(fresh, number(1 - keep)),
        );
      return seq(
        place.set(i32.mul(chunk.get, i32.const(4))),
        mu.set(number(0)),
        overChannel(writer, shape, chunk, at, (lanes) =>
          mu.set(add(mu.get, masked(load, lanes, 'sum'))),
        ),
        across(mu, 'sum'),
        mu.set(div(mu.get, number(count))),
        variance.set(number(0)),
        overChannel(writer, shape, chunk, at, (lanes) =>
          seq(
            value.set(sub(load, mu.get)),
            variance.set(add(variance.get, masked(mul(value.get, value.get), lanes, 'sum'))),
          ),
        ),
        across(variance, 'sum'),
        variance.set(div(variance.get, number(count))),
        store(mean, mu.get),
        store(inverse, div(number(1), sqrt(add(variance.get, number(epsilon))))),
        store(newMean, blend(oldMean, mu.get)),
        store(newVariance, blend(oldVariance, variance.get)),
      );
    },
  });
  const parts = [mean, inverse, scale, bias].map((view) => beside(view, x));
  call.pointwise([x, ...parts], call.output(0), (_, values) => {
    const [a, m, i, s, b] = values.map(({ code }) => code) as [Code, Code, Code, Code, Code];
    return { kind: 'float', code: add(mul(sub(a, m), mul(i, s)), b) };
  });
};

const batchNormGradient: Lowering = (call) => {
  const [dy, x, scale, mean, inverse] = [0, 1, 2, 3, 4].map((index) =>
    call.contiguous(call.input(index)),
  ) as [View, View, View, View, View];
  const shape = channelsOf(x);
  const { batch, channels, inner } = shape;
  const [dScale, dBias] = [call.output(1, [channels]), call.output(2, [channels])];
  call.plan.kernel({
    name: 'BatchNormGrad: parameters',
    reads: [dy, x, mean, inverse],
    writes: [dScale, dBias],
    chunks: channels,
    write: ({ writer, chunk }) => {
      const [at, place] = [writer.int(), writer.int()];
      const [sum, dot, mu, g] = writer.vectors(4) as [Local, Local, Local, Local];
      const store = (view: View, code: Code) =>
        f32.store(place.get, f32x4.lane(code, 0), addressOf(view));
      return seq(
        place.set(i32.mul(chunk.get, i32.const(4))),
        mu.set(v128.loadSplat(place.get, addressOf(mean))),
        sum.set(number(0)),
        dot.set(number(0)),
        overChannel(writer, shape, chunk, at, (lanes) =>
          seq(
            g.set(masked(v128.load(at.get, addressOf(dy)), lanes, 'sum')),
            sum.set(add(sum.get, g.get)),
            dot.set(
              add(
                dot.get,
                masked(mul(g.get, sub(v128.load(at.get, addressOf(x)), mu.get)), lanes, 'sum'),
              ),
            ),
          ),
        ),
        across(sum, 'sum'),
        across(dot, 'sum'),
        store(dScale, mul(dot.get, v128.loadSplat(place.get, addressOf(inverse)))),
        store(dBias, sum.get),
      );
    },
  });
  if (!call.wants(0)) return;
  const share = 1 / (batch * inner);
  const parts = [mean, inverse, scale, dScale, dBias].map((view) => beside(view, x));
  call.pointwise([dy, x, ...parts], call.output(0), (_, values) => {
    const [g, a, m, i, s, dot, sum] = values.map(({ code }) => code) as [
      Code,
      Code,
      Code,
      Code,
      Code,
      Code,
      Code,
    ];
    const normal = mul(sub(a, m), i);
    const less = add(sum, mul(normal, dot));
    return { kind: 'float', code: mul(sub(g, mul(less, number(share))), mul(s, i)) };
  });
};

/** With the statistics it came with, a batch norm is a scale and a shift. */
const batchNorm: Lowering = (call) => {
  if (call.wants(1)) throw new Unsupported('BatchNormalization');
  const epsilon = floatAttribute(call.node, 'epsilon', 1e-5);
  const x = call.input(0);
  const parts = [1, 2, 3, 4].map((index) => beside(call.contiguous(call.input(index)), x));
  call.pointwise([x, ...parts], call.output(), (_, values) => {
    const [a, s, b, m, v] = values.map(({ code }) => code) as [Code, Code, Code, Code, Code];
    const inverse = div(number(1), sqrt(add(v, number(epsilon))));
    return { kind: 'float', code: add(mul(sub(a, m), mul(inverse, s)), b) };
  });
};

export const NORMALISATION: LoweringTable = {
  LayerNormalization: normalise(true),
  RMSNormalization: normalise(false),
  RMSNormTrain: normalise(false),
  LayerNormGrad: normGradient(true),
  RMSNormGrad: normGradient(false),
  BatchNormTrain: batchNormTrain,
  BatchNormGrad: batchNormGradient,
  BatchNormalization: batchNorm,
};
