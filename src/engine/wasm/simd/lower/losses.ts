/** Softmax over rows, and softmax cross-entropy with its gradient. */
import { sizeOf } from '../../../../core/dtype';
import { intAttribute } from '../../../../ops/attributes';
import { Unsupported } from '../call';
import type { Lowering, LoweringTable } from '../call';
import { control, f32, f32x4, i32, seq, v128 } from '../code';
import type { Code, Local } from '../code';
import * as math from '../math';
import { storeVector } from '../pointwise';
import { reductionKernel } from '../reduce';
import { rowsKernel } from '../rows';
import type { Row } from '../rows';
import { addressOf, whole } from '../view';
import type { View } from '../view';

const { sub, mul } = f32x4;

/** max, then Σ exp(x − max), with each term stored where `terms` says. */
function sumOfExponentials(row: Row, x: View, terms: View | null, max: Local, sum: Local): Code {
  const { writer, at } = row;
  const load = v128.load(at.get, addressOf(x));
  return seq(
    row.fold(max, 'max', () => load),
    row.fold(sum, 'sum', (lanes) => {
      const [shifted, term] = [writer.vector(), writer.vector()];
      const value = seq(
        shifted.set(sub(load, max.get)),
        term.set(math.exp(writer, shifted)),
        terms === null ? [] : storeVector(at, term.get, addressOf(terms), lanes),
      );
      return seq(value, term.get);
    }),
  );
}

const softmax: Lowering = (call) => {
  const given = call.input(0);
  const rank = given.dims.length;
  const axis = intAttribute(call.node, 'axis', -1);
  if ((axis < 0 ? axis + rank : axis) !== rank - 1 || given.kind !== 'float') {
    throw new Unsupported(call.node.op);
  }
  const x = call.contiguous(given);
  const y = call.output();
  const length = x.dims.at(-1) ?? 1;
  const logarithm = call.node.op === 'LogSoftmax';
  call.plan.kernel(
    rowsKernel({
      name: call.node.op,
      rows: sizeOf(x.dims) / length,
      length,
      reads: [x],
      writes: [y],
      row: (row) => {
        const { writer, at } = row;
        const [max, sum, value] = [writer.vector(), writer.vector(), writer.vector()];
        const settle = logarithm
          ? sum.set(
              f32x4.add(
                max.get,
                writer.scoped(() => math.log(writer, sum)),
              ),
            )
          : sum.set(f32x4.div(f32x4.const(1), sum.get));
        const last = logarithm
          ? sub(v128.load(at.get, addressOf(x)), sum.get)
          : mul(v128.load(at.get, addressOf(y)), sum.get);
        return seq(
          sumOfExponentials(row, x, logarithm ? null : y, max, sum),
          settle,
          row.pass((lanes) =>
            seq(value.set(last), storeVector(at, value.get, addressOf(y), lanes)),
          ),
        );
      },
    }),
  );
};

/** 0 ≤ label < classes, else the row's numbers become NaN: then the step changes nothing. */
const valid = (label: Local, classes: number): Code => i32.ltU(label.get, i32.const(classes));

const crossEntropy: Lowering = (call) => {
  const [x, labels, weights] = [0, 1, 2].map((index) => call.contiguous(call.input(index))) as [
    View,
    View,
    View,
  ];
  const [rows = 1, classes = 1] = x.dims;
  const numerator = call.output(0, []);
  const denominator = call.output(1, []);
  const probabilities = call.output(2, x.dims);
  const losses = call.temporary([rows]);
  call.plan.kernel(
    rowsKernel({
      name: call.node.op,
      rows,
      length: classes,
      reads: [x, labels, weights],
      writes: [probabilities, losses],
      row: (row) => {
        const { writer, at, index } = row;
        const [max, sum, value] = [writer.vector(), writer.vector(), writer.vector()];
        const [label, place] = [writer.int(), writer.int()];
        const [weight, loss] = [writer.float(), writer.float()];
        const logSum = writer.scoped(() => math.log(writer, sum));
        const logit = f32.load(i32.add(at.get, i32.mul(label.get, i32.const(4))), addressOf(x));
        const own = f32.sub(f32x4.lane(value.get, 0), logit);
        return seq(
          sumOfExponentials(row, x, probabilities, max, sum),
          value.set(f32x4.add(max.get, logSum)),
          place.set(i32.mul(index.get, i32.const(4))),
          label.set(i32.load(place.get, addressOf(labels))),
          weight.set(f32.load(place.get, addressOf(weights))),
          loss.set(f32.const(NaN)),
          control.if(valid(label, classes), loss.set(f32.mul(weight.get, own))),
          // A row of weight 0 counts nothing, even where its loss is infinite.
          control.if(f32.eq(weight.get, f32.const(0)), loss.set(f32.const(0))),
          f32.store(place.get, loss.get, addressOf(losses)),
          sum.set(f32x4.div(f32x4.const(1), sum.get)),
          row.pass((lanes) =>
            seq(
              value.set(mul(v128.load(at.get, addressOf(probabilities)), sum.get)),
              storeVector(at, value.get, addressOf(probabilities), lanes),
            ),
          ),
        );
      },
    }),
  );
  const total = (input: View, output: View) =>
    call.plan.kernel(
      reductionKernel({
        name: 'ReduceSum',
        input,
        axes: [0],
        output: whole(output.buffer, [1], 'float'),
        combine: 'sum',
      }),
    );
  total(losses, numerator);
  total(weights, denominator);
};

const crossEntropyGradient: Lowering = (call) => {
  const [g, p, labels, weights] = [0, 1, 2, 3].map((index) =>
    call.contiguous(call.input(index)),
  ) as [View, View, View, View];
  const [rows = 1, classes = 1] = p.dims;
  const dx = call.output();
  call.plan.kernel(
    rowsKernel({
      name: call.node.op,
      rows,
      length: classes,
      reads: [g, p, labels, weights],
      writes: [dx],
      row: (row) => {
        const { writer, at, index } = row;
        const [factors, value] = [writer.vector(), writer.vector()];
        const [label, place, target] = [writer.int(), writer.int(), writer.int()];
        const factor = writer.float();
        return seq(
          place.set(i32.mul(index.get, i32.const(4))),
          label.set(i32.load(place.get, addressOf(labels))),
          factor.set(
            f32.mul(f32.load(i32.const(0), addressOf(g)), f32.load(place.get, addressOf(weights))),
          ),
          control.if(i32.eqz(valid(label, classes)), factor.set(f32.const(NaN))),
          factors.set(f32x4.splat(factor.get)),
          row.pass((lanes) =>
            seq(
              value.set(mul(v128.load(at.get, addressOf(p)), factors.get)),
              storeVector(at, value.get, addressOf(dx), lanes),
            ),
          ),
          control.if(
            valid(label, classes),
            seq(
              target.set(i32.add(at.get, i32.mul(label.get, i32.const(4)))),
              f32.store(
                target.get,
                f32.mul(factor.get, f32.sub(f32.load(target.get, addressOf(p)), f32.const(1))),
                addressOf(dx),
              ),
            ),
          ),
        );
      },
    }),
  );
};

export const LOSSES: LoweringTable = {
  Softmax: softmax,
  LogSoftmax: softmax,
  SoftmaxCrossEntropy: crossEntropy,
  SoftmaxCrossEntropyGrad: crossEntropyGradient,
};
