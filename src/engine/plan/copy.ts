/** One kernel for everything that must be copied when a step is done, whatever its type: bits move as they are. */
import type { BufferDeclaration, Place } from './source';
import type { PlannedDispatch } from './step-plan';

export interface Copy {
  readonly from: Place;
  readonly to: Place;
  /** In elements. */
  readonly size: number;
}

const WORKGROUP = 64;

export function copyDispatch(
  copies: readonly Copy[],
  buffers: readonly BufferDeclaration[],
): PlannedDispatch {
  const touched = new Set(copies.flatMap(({ from, to }) => [from.buffer, to.buffer]));
  const writesState = copies.some(({ to }) => to.buffer === 'state');
  const declarations = buffers
    .filter(({ name }) => touched.has(name))
    .map(({ name, binding, writable, size }) => {
      const access = writable || (writesState && name === 'state') ? 'read_write' : 'read';
      return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<u32, ${size}>;`;
    });
  let total = 0;
  const lines = copies.map(({ from, to, size }) => {
    const i = `u32(index - ${total})`;
    total += size;
    return `  if (index < ${total}) { ${to.buffer}[${to.offset}u + ${i}] = ${from.buffer}[${from.offset}u + ${i}]; return; }`;
  });
  const groups = Math.ceil(total / WORKGROUP);
  const across = Math.min(groups, 65535);
  return {
    kind: 'dispatch',
    label: 'Copy',
    nodes: [],
    origins: [],
    phase: 'update',
    bytesRead: total * 4,
    bytesWritten: total * 4,
    writesState,
    workgroups: [across, Math.ceil(groups / across), 1],
    workgroupSize: WORKGROUP,
    code: `${declarations.join('\n')}
@compute @workgroup_size(${WORKGROUP}) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let index = i32(id.y * ${across * WORKGROUP}u + id.x);
${lines.join('\n')}
}`,
  };
}
