/**
 * Clipping and update of all weights in two kernels, however many weights there are: squares of the gradients, by
 * parts in a fixed order, then the update itself, in place on the State. Weights are cut into chunks, and a table says
 * for each where its gradient, weight and moments lie.
 */
import { invariant } from '../../core/errors';
import { f32 } from '../../ops/lowering/address';
import type { DeviceTraits } from '../../ops/lowering/plan';
import type { PlanValue, Update } from './kernels';
import type { Dispatch, Layout } from './source';
import type { StateLayout } from './state-layout';
import { UpdateSource } from './update-source';
import type { UpdateKernel } from './update-source';
import { CHUNK, partsOf, ROW } from './update-table';

export interface UpdateDispatch extends Dispatch {
  readonly label: string;
  readonly writesState: boolean;
}

/** Fills the update's table as well, now that every value has its place. */
export function updateDispatches(
  update: Update,
  values: readonly PlanValue[],
  layout: Layout,
  state: StateLayout,
  traits: DeviceTraits,
): UpdateDispatch[] {
  const { optimiser, table, inputs, outputs } = update;
  const { weights } = optimiser;
  const gradients = inputs.slice(3, 3 + weights.length);
  const [rate = -1, step = -1, clip = -1] = inputs;
  const extra = inputs.slice(3 + weights.length);
  const factors = optimiser.factors === undefined ? undefined : extra.shift();
  const lossScale = optimiser.lossScale === undefined ? undefined : extra.shift();
  const [norm = -1, done = -1, scratch = -1] = outputs;
  const tableValue = inputs.at(-1) ?? -1;

  const sources = [...new Set(gradients.map((id) => layout.place(id).buffer))];
  let chunk = 0;
  weights.forEach(({ weight, moments, decays }, index) => {
    const own = state.require(weight);
    const gradient = layout.place(gradients[index] ?? -1);
    const places = moments.map((name) => state.require(name).offset);
    for (let start = 0; start < own.size; start += CHUNK) {
      const [m = 0, v = 0] = places.map((offset) => offset + start);
      table.set(
        [
          gradient.offset + start,
          own.offset + start,
          m,
          v,
          Math.min(CHUNK, own.size - start),
          decays ? 1 : 0,
          index,
          sources.indexOf(gradient.buffer),
        ],
        chunk++ * ROW,
      );
    }
  });

  const chunks = chunk;
  const parts = partsOf(chunks, traits.software);
  const read = (id: number | undefined, at = '0'): string => {
    if (id === undefined) return '1.0';
    const value = values[id];
    invariant(value !== undefined, 'The update names an unknown value.');
    const { home } = value;
    if (home.kind === 'constant' && value.size === 1) return f32(home.data[0] ?? 0);
    const { buffer, offset } = layout.place(id);
    return floatIn(buffer, `${offset} + ${at}`);
  };
  const place = (id: number, at: string): string => {
    const { buffer, offset } = layout.place(id);
    return `${buffer}[${offset} + ${at}]`;
  };
  /** A loss scale keeps the norm in the State, whose elements are floats. */
  const store = (id: number) => (bits: string) => {
    const float = elementOf(layout.place(id).buffer) === 'f32';
    return `${place(id, '0')} = ${float ? `bitcast<f32>(${bits})` : bits};`;
  };
  const rowOf = (at: string): string =>
    `bitcast<i32>(${place(tableValue, `row * ${ROW} + ${at}`)})`;
  const source = new UpdateSource(optimiser, traits.software, chunks, {
    sources: sources.map((buffer) => floatIn(buffer, 'i')),
    row: rowOf,
    part: (at) => place(scratch, at),
    factor: factors === undefined ? undefined : read(factors, rowOf('6')),
    lossScale: lossScale === undefined ? undefined : read(lossScale),
    rate: read(rate),
    step: read(step),
    clip: read(clip),
    gradNorm: store(norm),
    stepDone: store(done),
  });
  const module = (writesState: boolean, code: string): string => {
    const declarations = layout.buffers
      .filter(({ name }) => new RegExp(`\\b${name}\\[`).test(code))
      .map(({ name, binding, writable, size }) => {
        const access = writable || (writesState && name === 'state') ? 'read_write' : 'read';
        return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${elementOf(name)}, ${size}>;`;
      });
    return `${declarations.join('\n')}\n${code}`;
  };
  const dispatch = (label: string, writesState: boolean, { code, groups, size }: UpdateKernel) => ({
    label,
    code: module(writesState, code),
    workgroups: [groups, 1, 1] as const,
    workgroupSize: size,
    writesState,
  });
  return [
    dispatch(`${optimiser.kind} squares`, false, source.squares(parts)),
    dispatch(optimiser.kind, true, source.apply(parts)),
  ];
}

/** The State is all floats; the others may hold integers beside them. */
const elementOf = (buffer: string): 'f32' | 'u32' => (buffer === 'state' ? 'f32' : 'u32');

const floatIn = (buffer: string, at: string): string =>
  elementOf(buffer) === 'f32' ? `${buffer}[${at}]` : `bitcast<f32>(${buffer}[${at}])`;
