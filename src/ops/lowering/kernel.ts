/**
 * Kernels of our own in WGSL, run through the backend's queue beside those of tfjs. Shapes are static, so sizes
 * and strides are literals in the source, and the source itself is the key under which the pipeline is cached:
 * no hand-kept key can be wrong. Inputs are bound as flat arrays `x0`, `x1` …, so rank has no limit.
 */
import { sizeOf } from '../../core/dtype';
import { stridesOf } from '../shapes';
import { deviceType } from './tfjs';
import type { Backend, StaticType, TensorInfo } from './tfjs';

const WORKGROUP = 64;
/** From so many items on, a thread does several: starting a thread costs more than a small item. */
const LONG = 16384;
const ROUNDS = 4;

export interface KernelSource {
  /** Shown in GPU tools. */
  readonly label: string;
  readonly output: StaticType;
  readonly inputCount: number;
  /** Statements run for each `index`; they write `result[...]`. */
  readonly body: string;
  /** Number of values of `index`; the output's size where absent. */
  readonly threads?: number;
  /** Functions that the body calls. */
  readonly helpers?: string;
  /**
   * A whole number that the body reads as `uniforms.start`, so that kernels which differ in nothing else (the parts of
   * a Split) are compiled once.
   */
  readonly start?: number;
}

/** Prepares a kernel; the result runs it. */
export function kernel(
  backend: Backend,
  source: KernelSource,
): (inputs: readonly TensorInfo[]) => TensorInfo {
  const size = sizeOf(source.output.dims);
  const items = source.threads ?? size;
  const rounds = items >= LONG ? ROUNDS : 1;
  const threads = Math.ceil(items / rounds);
  const calls = Array.from({ length: rounds }, (_, round) => {
    const index = round === 0 ? 'thread' : `thread + ${round * threads}`;
    const whole = (round + 1) * threads <= items;
    return whole ? `  item(${index});` : `  if (${index} < ${items}) { item(${index}); }`;
  });
  const variableNames = Array.from({ length: source.inputCount }, (_, index) => `x${index}`);
  const code = `// ${source.label}
${source.helpers ?? ''}
fn item(index: i32) {
${source.body}
}
fn main(thread: i32) {
  // tfjs binds its uniforms always, and a binding that the source does not name would not be in the layout.
  _ = uniforms.NAN;
  if (thread >= ${threads}) { return; }
${calls.join('\n')}
}`;
  const dtype = deviceType(source.output.dtype);
  const shape = [...source.output.dims];
  const own = source.start === undefined ? undefined : [{ type: 'int32', data: [source.start] }];
  return (inputs) => {
    const output = backend.makeTensorInfo(shape, dtype);
    if (size === 0) return backend.runWebGPUProgram(program(), [], dtype, undefined, output);
    const flat = inputs.map((x) => ({
      dataId: x.dataId,
      dtype: x.dtype,
      shape: [sizeOf(x.shape)],
    }));
    backend.runWebGPUProgram(program(), flat, dtype, own, {
      dataId: output.dataId,
      dtype,
      shape: [size],
    });
    return output;
  };

  // tfjs writes the pipeline and the full key into the program object, so each run has a fresh one.
  function program() {
    return {
      variableNames,
      outputShape: [size],
      dispatchLayout: { x: [0] },
      dispatch: [Math.ceil(threads / WORKGROUP), 1, 1] as [number, number, number],
      workgroupSize: [WORKGROUP, 1, 1] as [number, number, number],
      shaderKey: code,
      getUserCode: () => code,
      ...(own === undefined ? {} : { uniforms: 'start : i32, ' }),
    };
  }
}

/** Strides with which `dims` is read as if it were broadcast to `target` (0 along repeated axes). */
export function broadcastStrides(dims: readonly number[], target: readonly number[]): number[] {
  const own = stridesOf(dims);
  const shift = target.length - dims.length;
  return target.map((_, axis) => {
    const from = axis - shift;
    return from < 0 || dims[from] === 1 ? 0 : (own[from] ?? 0);
  });
}

export interface Axis {
  readonly dim: number;
  readonly stride: number;
}

/** Joins neighbouring axes that one stride can walk, and drops those of length 1. */
export function collapse(dims: readonly number[], strides: readonly number[]): Axis[] {
  const axes: Axis[] = [];
  dims.forEach((dim, index) => {
    if (dim === 1) return;
    const stride = strides[index] ?? 0;
    const last = axes.at(-1);
    if (last !== undefined && last.stride === stride * dim) {
      axes[axes.length - 1] = { dim: last.dim * dim, stride };
    } else {
      axes.push({ dim, stride });
    }
  });
  return axes;
}

/** WGSL: where a strided view of the shape `dims` keeps the element whose row-major number is `index`. */
export function addressOf(
  dims: readonly number[],
  strides: readonly number[],
  index = 'index',
  offset = 0,
): string {
  const axes = collapse(dims, strides);
  const terms: string[] = offset === 0 ? [] : [`${offset}`];
  let below = 1;
  for (let axis = axes.length - 1; axis >= 0; axis--) {
    const { dim, stride } = axes[axis] ?? { dim: 1, stride: 0 };
    if (stride !== 0) {
      const shifted = below === 1 ? index : `(${index} / ${below})`;
      const coordinate = axis === 0 ? shifted : `(${shifted} % ${dim})`;
      terms.push(stride === 1 ? coordinate : `${coordinate} * (${stride})`);
    }
    below *= dim;
  }
  return terms.length === 0 ? '0' : terms.join(' + ');
}

/** A float literal that WGSL takes for f32, whatever the number. */
export function f32(value: number): string {
  if (value > 3.4028234e38) return '3.4028234e38';
  if (value < -3.4028234e38) return '-3.4028234e38';
  const text = Math.fround(value).toString();
  return `f32(${text})`;
}
