/** State as the store keeps it: tensors in the order of their specs, laid end to end as float32. */
import { sizeOf } from '../core/dtype';
import { AppError } from '../core/errors';
import type { StateSpec } from '../engine/executor';
import type { Tensors } from './loop-types';

export function packTensors(specs: readonly StateSpec[], tensors: Tensors): ArrayBuffer {
  const sizes = specs.map(({ dims }) => sizeOf(dims));
  const all = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [index, { name }] of specs.entries()) {
    const size = sizes[index] ?? 0;
    const values = tensors.get(name);
    if (values?.length !== size) throw misfit(name, size, values?.length ?? 0);
    all.set(values, at);
    at += size;
  }
  return all.buffer;
}

export function unpackTensors(specs: readonly StateSpec[], packed: ArrayBuffer): Tensors {
  const all = new Float32Array(packed);
  const tensors: Tensors = new Map();
  let at = 0;
  for (const { name, dims } of specs) {
    const size = sizeOf(dims);
    if (at + size > all.length) throw misfit(name, size, all.length - at);
    tensors.set(name, all.slice(at, at + size));
    at += size;
  }
  if (at !== all.length) throw misfit('the end', at, all.length);
  return tensors;
}

function misfit(name: string, expected: number, found: number): AppError {
  return new AppError(
    'training/checkpoint',
    `The checkpoint does not fit this model: at "${name}" it holds ${found} numbers instead of ${expected}. Start the run again.`,
    { name, expected, found },
  );
}
