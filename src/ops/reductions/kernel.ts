/**
 * Reductions over any axes in a fixed order: one thread walks one output's elements. Where outputs are too few
 * to fill a GPU, the first reduced axis is cut into parts that are summed in a second pass, again in order. No
 * atomics, no shared memory: two runs are bit-equal.
 */
import { sizeOf } from '../../core/dtype';
import { stridesOf } from '../shapes';
import { addressOf, collapse, kernel } from '../lowering/kernel';
import { deviceType } from '../lowering/tfjs';
import type { Backend, StaticType, TensorInfo } from '../lowering/tfjs';

export interface Reduction {
  readonly label: string;
  /** Shape that is walked. */
  readonly dims: readonly number[];
  readonly axes: readonly number[];
  readonly combine: 'sum' | 'max' | 'min' | 'product';
  /** WGSL of one element, of the output's type: `i` is its row-major number in `dims`, `o` the number of the output. */
  readonly element: string;
  readonly inputCount: number;
  readonly output: StaticType;
  /** WGSL that finishes `total`, e.g. `total / 8.0`. */
  readonly finish?: string;
}

/** Below so many threads a GPU starves; above so many elements a thread runs too long. */
const FEW_THREADS = 4096;
const LONG_WALK = 64;

// An infinity as a literal is refused by WGSL's compiler; tfjs feeds one.
const START = {
  f32: { sum: '0.0', max: '-uniforms.INFINITY', min: 'uniforms.INFINITY', product: '1.0' },
  i32: { sum: '0', max: 'i32(-2147483648)', min: '2147483647', product: '1' },
  bool: { sum: '0', max: '0', min: '1', product: '1' },
} as const;
const STEP = {
  sum: 'total = total + value;',
  max: 'total = max(total, value);',
  min: 'total = min(total, value);',
  product: 'total = total * value;',
} as const;

export function reduction(
  backend: Backend,
  spec: Reduction,
): (inputs: readonly TensorInfo[]) => TensorInfo {
  const strides = stridesOf(spec.dims);
  const reduced = new Set(spec.axes);
  const pick = (wanted: boolean) => {
    const axes = spec.dims.map((_, axis) => axis).filter((axis) => reduced.has(axis) === wanted);
    return { dims: axes.map((a) => spec.dims[a] ?? 1), strides: axes.map((a) => strides[a] ?? 1) };
  };
  const kept = pick(false);
  const inner = pick(true);
  const walk = collapse(inner.dims, inner.strides);
  const outputs = sizeOf(kept.dims);
  const length = sizeOf(inner.dims);
  const first = walk[0]?.dim ?? 1;
  const parts =
    outputs < FEW_THREADS && length > LONG_WALK
      ? Math.min(first, Math.ceil(FEW_THREADS / outputs), Math.ceil(length / LONG_WALK))
      : 1;

  const loops = (range: (axis: number, dim: number) => readonly [string, string]): string => {
    const open = walk.map(({ dim }, axis) => {
      const [from, to] = range(axis, dim);
      return `for (var r${axis} = ${from}; r${axis} < ${to}; r${axis}++) {`;
    });
    const terms = walk.map(({ stride }, axis) => ` + r${axis} * ${stride}`).join('');
    return `${open.join('\n  ')}
    let i = base${terms};
    let value = ${spec.element};
    ${STEP[spec.combine]}
  ${'}'.repeat(walk.length)}`;
  };
  const integer = deviceType(spec.output.dtype) !== 'float32';
  const type = spec.output.dtype === 'bool' ? 'bool' : integer ? 'i32' : 'f32';
  const start = START[type][spec.combine];
  const base = addressOf(kept.dims, kept.strides, 'o');

  if (parts === 1) {
    return kernel(backend, {
      label: spec.label,
      output: spec.output,
      inputCount: spec.inputCount,
      threads: outputs,
      body: `  let o = index;
  let base = ${base};
  var total = ${start};
  ${loops((_, dim) => ['0', `${dim}`])}
  result[index] = ${spec.finish ?? 'total'};`,
    });
  }

  const chunk = Math.ceil(first / parts);
  const partial = kernel(backend, {
    label: `${spec.label} parts`,
    output: { dtype: spec.output.dtype, dims: [outputs, parts] },
    inputCount: spec.inputCount,
    body: `  let o = index / ${parts};
  let part = index % ${parts};
  let base = ${base};
  var total = ${start};
  ${loops((axis, dim) =>
    axis === 0 ? [`part * ${chunk}`, `min(${dim}, (part + 1) * ${chunk})`] : ['0', `${dim}`],
  )}
  result[index] = total;`,
  });
  const { finish } = spec;
  const rest = reduction(backend, {
    label: `${spec.label} rest`,
    dims: [outputs, parts],
    axes: [1],
    combine: spec.combine,
    element: 'x0[i]',
    inputCount: 1,
    output: spec.output,
    ...(finish === undefined ? {} : { finish }),
  });
  return (inputs) => {
    const between = partial(inputs);
    const result = rest([between]);
    backend.disposeData(between.dataId);
    return result;
  };
}
