/**
 * Clipping and update of all weights in three kernels, however many weights there are: squares of the gradients, by
 * parts in a fixed order; one number for all (norm, and what follows from it); the update itself, in place on the
 * State. Weights are cut into chunks, and a table says for each where its gradient, weight and moments lie. The rules
 * and their sources stand in ops/optimisers/spec.ts.
 */
import { invariant } from '../../core/errors';
import { f32 } from '../../ops/lowering/address';
import { functionsIn } from '../../ops/lowering/functions';
import type { DeviceTraits } from '../../ops/lowering/plan';
import type { OptimiserPlan } from '../optimiser';
import type { PlanValue, Update } from './kernels';
import type { Dispatch, Layout } from './source';
import type { StateLayout } from './state-layout';
import { CHUNK, PARTS, ROW } from './update-table';

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
  const parts = chunks * PARTS;
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
  const rowOf = (at: string): string =>
    `bitcast<i32>(${place(tableValue, `row * ${ROW} + ${at}`)})`;
  const factorOf = factors === undefined ? '1.0' : read(factors, rowOf('6'));
  const gradientAt = `fn gradient(source: i32, i: i32) -> f32 {
${sources.map((buffer, at) => `  if (source == ${at}) { return ${floatIn(buffer, 'i')}; }`).join('\n')}
  return 0.0;
}`;
  const module = (writesState: boolean, code: string): string => {
    const declarations = layout.buffers
      .filter(({ name }) => new RegExp(`\\b${name}\\[`).test(code))
      .map(({ name, binding, writable, size }) => {
        const access = writable || (writesState && name === 'state') ? 'read_write' : 'read';
        return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${elementOf(name)}, ${size}>;`;
      });
    return `${declarations.join('\n')}\n${functionsIn(code)}\n${code}`;
  };
  const LOCAL = '@builtin(local_invocation_index) thread: u32';

  const squares = `${gradientAt}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let part = i32(id.x);
  if (part >= ${parts}) { return; }
  let row = part / ${PARTS};
  let length = ${rowOf('4')};
  let source = ${rowOf('7')};
  let base = ${rowOf('0')};
  // 0 · g² is NaN where g is not finite: a resting weight that breaks stops the step, too.
  let counted = select(1.0, 0.0, ${factorOf} == 0.0);
  var total = 0.0;
  for (var i = part % ${PARTS}; i < length; i += ${PARTS}) {
    let g = gradient(source, base + i)${lossScale === undefined ? '' : ` / ${read(lossScale)}`};
    total += counted * (g * g);
  }
  ${place(scratch, 'part')} = bits(total);
}`;

  const control = `var<workgroup> shared_sums: array<f32, 64>;
@compute @workgroup_size(64) fn main(${LOCAL}) {
  let local = i32(thread);
  var total = 0.0;
  for (var i = local; i < ${parts}; i += 64) { total += bitcast<f32>(${place(scratch, 'i')}); }
  shared_sums[local] = total;
  workgroupBarrier();
  if (local == 0) {
    var all = 0.0;
    for (var i = 0; i < 64; i++) { all += shared_sums[i]; }
    let norm = sqrt(all);
    let clip = ${read(clip)};
    let step = ${read(step)};
    let finite = (bitcast<u32>(norm) & 0x7f800000u) != 0x7f800000u;
    ${place(scratch, `${parts}`)} = bits(select(1.0, clip / norm, clip > 0.0 && norm > clip));
    ${place(scratch, `${parts + 1}`)} = bits(select(0.0, 1.0, finite));
    ${place(scratch, `${parts + 2}`)} = bits(1.0 - pow(${f32(optimiser.settings.beta1)}, step));
    ${place(scratch, `${parts + 3}`)} = bits(1.0 - pow(${f32(optimiser.settings.beta2)}, step));
    ${place(norm, '0')} = bits(norm);
    ${place(done, '0')} = bits(step);
  }
}`;

  const size = traits.software ? 64 : 256;
  const shared = (at: number): string => `bitcast<f32>(${place(scratch, `${parts + at}`)})`;
  const apply = `${gradientAt}
@compute @workgroup_size(${size}) fn main(@builtin(workgroup_id) place: vec3<u32>, ${LOCAL}) {
  let row = i32(place.y * ${across(chunks)}u + place.x);
  if (row >= ${chunks} || ${shared(1)} == 0.0) { return; }
  let base = ${rowOf('0')};
  let weight = ${rowOf('1')};
  let first = ${rowOf('2')};
  let second = ${rowOf('3')};
  let length = ${rowOf('4')};
  let source = ${rowOf('7')};
  let factor = ${shared(0)}${lossScale === undefined ? '' : ` / ${read(lossScale)}`};
  let rate = ${read(rate)} * ${factorOf};
  let decay = select(0.0, rate * ${f32(optimiser.settings.weightDecay)}, ${rowOf('5')} == 1);
  let correct1 = ${shared(2)};
  let correct2 = ${shared(3)};
  for (var i = i32(thread); i < length; i += ${size}) {
    let g = gradient(source, base + i) * factor;
    let old = state[weight + i];
${ruleOf(optimiser)}
  }
}`;
  const element = (code: string): string => code.replaceAll(/\bbits\(/g, 'bitcast<u32>(');
  return [
    {
      label: `${optimiser.kind} squares`,
      code: module(false, element(squares)),
      workgroups: [Math.ceil(parts / 64), 1, 1],
      workgroupSize: 64,
      writesState: false,
    },
    {
      label: `${optimiser.kind} norm`,
      code: module(false, element(control)),
      workgroups: [1, 1, 1],
      workgroupSize: 64,
      writesState: false,
    },
    {
      label: optimiser.kind,
      code: module(true, apply),
      workgroups: [across(chunks), Math.ceil(chunks / across(chunks)), 1],
      workgroupSize: size,
      writesState: true,
    },
  ];
}

const across = (count: number): number => Math.min(count, 32768);

/** The State is all floats; the others may hold integers beside them. */
const elementOf = (buffer: string): 'f32' | 'u32' => (buffer === 'state' ? 'f32' : 'u32');

const floatIn = (buffer: string, at: string): string =>
  elementOf(buffer) === 'f32' ? `${buffer}[${at}]` : `bitcast<f32>(${buffer}[${at}])`;

/** WGSL: new weight and moments from `g`, `old`, `rate`, `decay` and the corrections. */
function ruleOf({ kind, settings }: OptimiserPlan): string {
  const { beta1, beta2, epsilon, momentum } = settings;
  const [b1, r1] = [f32(beta1), f32(1 - beta1)];
  const [b2, r2] = [f32(beta2), f32(1 - beta2)];
  if (kind === 'SGD') {
    return `    let m = ${f32(momentum)} * state[first + i] + g;
    state[first + i] = m;
    state[weight + i] = old - rate * m;`;
  }
  if (kind === 'Lion') {
    return `    let before = state[first + i];
    let direction = sign(${b1} * before + ${r1} * g);
    state[first + i] = ${b2} * before + ${r2} * g;
    state[weight + i] = old - decay * old - rate * direction;`;
  }
  return `    let m = ${b1} * state[first + i] + ${r1} * g;
    let v = ${b2} * state[second + i] + ${r2} * (g * g);
    state[first + i] = m;
    state[second + i] = v;
    state[weight + i] = old - decay * old - rate * ((m / correct1) / (sqrt(v / correct2) + ${f32(epsilon)}));`;
}
