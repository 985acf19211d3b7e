/**
 * Einsum as Transpose, ReduceSum and MatMul: operands are joined from left to right. Labels that nothing after a
 * join needs are summed in it, by the matrix product where both sides carry them. Gradients follow from the parts.
 */
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { sizeOf } from '../../core/dtype';
import type { Expansion } from '../define';
import { reshapeTo, transpose } from '../gradients';
import { dimAt } from '../shapes';
import { parseEquation } from './equation';

interface Operand {
  readonly name: string;
  readonly labels: readonly string[];
  readonly dims: readonly number[];
}

function permuted(builder: GraphBuilder, x: Operand, labels: readonly string[]): Operand {
  const perm = labels.map((label) => x.labels.indexOf(label));
  const dims = perm.map((axis) => dimAt(x.dims, axis));
  if (perm.every((axis, index) => axis === index)) return x;
  return { name: transpose(builder, x.name, perm), labels, dims };
}

/** A repeated label is a diagonal: both axes side by side in front, folded into one, every (n + 1)th row taken. */
function withoutRepeats(builder: GraphBuilder, x: Operand): Operand {
  const second = x.labels.findIndex((label, axis) => x.labels.indexOf(label) !== axis);
  if (second < 0) return x;
  const first = x.labels.indexOf(x.labels[second] as string);
  const rest = x.labels.map((_, axis) => axis).filter((axis) => axis !== first && axis !== second);
  const n = dimAt(x.dims, first);
  const restDims = rest.map((axis) => dimAt(x.dims, axis));
  const front = transpose(builder, x.name, [first, second, ...rest]);
  const folded = reshapeTo(builder, front, [n * n, ...restDims]);
  const places = builder.ints(Array.from({ length: n }, (_, index) => index * (n + 1)));
  return withoutRepeats(builder, {
    name: builder.node('Gather', [folded, places], { axis: attr.int(0) }),
    labels: [first, ...rest].map((axis) => x.labels[axis] as string),
    dims: [n, ...restDims],
  });
}

/** Sums the axes of these labels away. */
function summed(
  builder: GraphBuilder,
  x: Operand,
  drop: (label: string, dim: number) => boolean,
): Operand {
  const axes = x.labels.flatMap((label, axis) => (drop(label, dimAt(x.dims, axis)) ? [axis] : []));
  if (axes.length === 0) return x;
  const keep = x.labels.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  return {
    name: builder.node('ReduceSum', [x.name, builder.ints(axes)], { keepdims: attr.int(0) }),
    labels: keep.map((axis) => x.labels[axis] as string),
    dims: keep.map((axis) => dimAt(x.dims, axis)),
  };
}

function joined(
  builder: GraphBuilder,
  left: Operand,
  right: Operand,
  needed: ReadonlySet<string>,
): Operand {
  const sizeIn = (x: Operand, label: string) => x.dims[x.labels.indexOf(label)];
  // Where one side is 1 long and the other is not, that side broadcasts: it is as good as without the axis.
  const narrow = (x: Operand, other: Operand) =>
    summed(
      builder,
      x,
      (label, dim) =>
        (dim === 1 && (sizeIn(other, label) ?? 1) !== 1) ||
        (!needed.has(label) && !other.labels.includes(label)),
    );
  const a = narrow(left, right);
  const b = narrow(right, a);
  const both = a.labels.filter((label) => b.labels.includes(label));
  const batch = both.filter((label) => needed.has(label));
  const contracted = both.filter((label) => !needed.has(label));
  const rows = a.labels.filter((label) => !both.includes(label));
  const columns = b.labels.filter((label) => !both.includes(label));
  const dimsOf = (x: Operand, labels: readonly string[]) =>
    labels.map((label) => sizeIn(x, label) ?? 1);
  const batchDims = dimsOf(a, batch);
  const rowDims = dimsOf(a, rows);
  const columnDims = dimsOf(b, columns);
  const inner = sizeOf(dimsOf(a, contracted));
  const matrix = (x: Operand, labels: readonly string[], high: number, wide: number) =>
    reshapeTo(builder, permuted(builder, x, labels).name, [...batchDims, high, wide]);
  const product = builder.node('MatMul', [
    matrix(a, [...batch, ...rows, ...contracted], sizeOf(rowDims), inner),
    matrix(b, [...batch, ...contracted, ...columns], inner, sizeOf(columnDims)),
  ]);
  const dims = [...batchDims, ...rowDims, ...columnDims];
  return { name: reshapeTo(builder, product, dims), labels: [...batch, ...rows, ...columns], dims };
}

export const expandEinsum: Expansion = ({ node, builder, type }) => {
  const shapes = node.inputs.map((name) => type(name).dims);
  const { operands, output } = parseEquation(node, shapes);
  const [first, ...rest] = operands.map((labels, index) =>
    withoutRepeats(builder, {
      name: node.inputs[index] as string,
      labels,
      dims: shapes[index] as readonly number[],
    }),
  );
  if (!first) return [];
  let result = first;
  rest.forEach((next, index) => {
    const later = rest.slice(index + 1).flatMap(({ labels }) => labels);
    result = joined(builder, result, next, new Set([...output, ...later]));
  });
  result = summed(builder, result, (label) => !output.includes(label));
  const { name } = permuted(builder, result, output);
  return [name === node.inputs[0] ? builder.node('Identity', [name]) : name];
};
