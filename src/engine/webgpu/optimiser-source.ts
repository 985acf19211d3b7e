/**
 * WGSL of the update, in place over all weights. The equations and their papers stand in
 * ops/optimisers/spec.ts, whose reference kernel is the oracle of this one. Partial sums of the gradient norm are added in a fixed order.
 */
import { f32 } from '../../ops/lowering/kernel';
import type { OptimiserPlan } from '../optimiser';

export const UPDATE_WORKGROUP = 256;
/** Threads (and so partial sums) for the norm of one gradient. */
export const NORM_THREADS = 256;

/** Per weight: how long it is, where its partial sums start, whether it decays, and its place among all. */
const WEIGHT = `struct Weight { size: u32, threads: u32, offset: u32, decays: u32, index: u32 }`;
/** Bytes of that, rounded up to what a uniform binding wants. */
export const WEIGHT_BYTES = 32;
/** Bindings of the learning-rate factors, where the node reads them. */
export const FACTORS_IN_NORM = 3;
export const FACTORS_IN_UPDATE = 6;
const CONTROL = `struct Control {
  scale: f32, finite: u32, learning_rate: f32, correction1: f32, correction2: f32, step: f32,
}`;

/** The vector of learning-rate factors at a binding, if the node reads one, and this weight's factor. */
function factorOf({ factors }: OptimiserPlan, binding: number): string {
  if (factors === undefined) return 'fn factor() -> f32 { return 1.0; }';
  return `@group(0) @binding(${binding}) var<storage, read> factors: array<f32>;
fn factor() -> f32 { return factors[weight.index]; }`;
}

/**
 * One partial sum of squares a thread; an exponent of all ones anywhere marks the partial as infinite. A resting
 * weight counts only by that mark.
 */
export function normSource(plan: OptimiserPlan): string {
  return `
${WEIGHT}
@group(0) @binding(0) var<uniform> weight: Weight;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<u32>;
${factorOf(plan, FACTORS_IN_NORM)}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= weight.threads) { return; }
  var total = 0.0;
  var broken = false;
  for (var i = id.x; i < weight.size; i += weight.threads) {
    let g = gradient[i];
    broken = broken | ((bitcast<u32>(g) & 0x7f800000u) == 0x7f800000u);
    total += g * g;
  }
  if (factor() == 0.0) { total = 0.0; }
  // Compilers may assume that there are no infinities, so they are handled as bits.
  partials[weight.offset + id.x] = select(bitcast<u32>(total), 0x7f800000u, broken);
}`;
}

/** The norm, whether it is finite, the clipping factor and Adam's corrections, for all weights. */
export function controlSource({ settings }: OptimiserPlan): string {
  return `
${CONTROL}
@group(0) @binding(0) var<storage, read> partials: array<u32>;
@group(0) @binding(1) var<storage, read> learning_rate: array<f32>;
@group(0) @binding(2) var<storage, read> step: array<f32>;
@group(0) @binding(3) var<storage, read> clip_norm: array<f32>;
@group(0) @binding(4) var<storage, read_write> control: Control;
@group(0) @binding(5) var<storage, read_write> grad_norm: array<u32>;

var<workgroup> sums: array<f32, 256>;
var<workgroup> broken: array<u32, 256>;

// 1 − exp(x) without losing the digits of a small x: β₂ᵗ is so near to 1 at first that they matter.
fn one_minus_exp(x: f32) -> f32 {
  if (x < -0.25) { return 1.0 - exp(x); }
  return -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))));
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
  var total = 0.0;
  var bad = 0u;
  for (var i = lane; i < arrayLength(&partials); i += 256u) {
    let bits = partials[i];
    if ((bits & 0x7f800000u) == 0x7f800000u) { bad = 1u; } else { total += bitcast<f32>(bits); }
  }
  sums[lane] = total;
  broken[lane] = bad;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      sums[lane] += sums[lane + half];
      broken[lane] |= broken[lane + half];
    }
  }
  if (lane != 0u) { return; }
  let norm = sqrt(sums[0]);
  let overflow = (bitcast<u32>(sums[0]) & 0x7f800000u) == 0x7f800000u;
  let finite = (broken[0] == 0u) & !overflow;
  let limit = clip_norm[0];
  control.scale = select(1.0, limit / max(norm, 1e-30), finite && limit > 0.0 && norm > limit);
  control.finite = u32(finite);
  control.learning_rate = learning_rate[0];
  control.step = step[0];
  control.correction1 = one_minus_exp(step[0] * ${f32(Math.log(settings.beta1))});
  control.correction2 = one_minus_exp(step[0] * ${f32(Math.log(settings.beta2))});
  grad_norm[0] = select(0x7f800000u, bitcast<u32>(norm), finite);
}`;
}

function rule({ kind, settings }: OptimiserPlan): string {
  if (kind === 'SGD') {
    return `let velocity = ${f32(settings.momentum)} * m[i] + g;
    m[i] = velocity;
    w[i] = value - rate * velocity;`;
  }
  const { beta1, beta2, epsilon, weightDecay } = settings;
  const shrink = `if (weight.decays == 1u) { value -= rate * ${f32(weightDecay)} * value; }`;
  return `${kind === 'AdamW' && weightDecay !== 0 ? shrink : ''}
    let first = ${f32(beta1)} * m[i] + ${f32(1 - beta1)} * g;
    let second = ${f32(beta2)} * v[i] + ${f32(1 - beta2)} * g * g;
    m[i] = first;
    v[i] = second;
    let mean = first / control.correction1;
    let deviation = sqrt(second / control.correction2);
    w[i] = value - rate * mean / (deviation + ${f32(epsilon)});`;
}

export function updateSource(plan: OptimiserPlan): string {
  return `
${WEIGHT}
${CONTROL}
@group(0) @binding(0) var<uniform> weight: Weight;
@group(0) @binding(1) var<storage, read> control: Control;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
${plan.kind === 'SGD' ? '' : '@group(0) @binding(5) var<storage, read_write> v: array<f32>;'}
${factorOf(plan, FACTORS_IN_UPDATE)}

@compute @workgroup_size(${UPDATE_WORKGROUP})
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  if (control.finite == 0u) { return; }
  let rate = control.learning_rate * factor();
  for (var i = id.x; i < weight.size; i += groups.x * ${UPDATE_WORKGROUP}u) {
    var value = w[i];
    var g = gradient[i] * control.scale;
    ${rule(plan)}
  }
}`;
}

/** Last of all: the step number, which tells work that was done from work that a lost device dropped. */
export const DONE_SOURCE = `
${CONTROL}
@group(0) @binding(0) var<storage, read> control: Control;
@group(0) @binding(1) var<storage, read_write> step_done: array<f32>;

@compute @workgroup_size(1)
fn main() { step_done[0] = control.step; }`;
