/** Attention on the graphics processor: inference, learning and the gradient, all without the table of scores. */
import { floatAttribute } from '../attributes';
import { hasOutput, input, inputType, outputType } from '../lowering/context';
import type { Lowering, LoweringContext } from '../lowering/plan';
import { attentionBackward, backwardFits } from './backward-kernel';
import type { DeviceAttention } from './device-layout';
import { attentionForward, forwardFits } from './forward-kernel';
import { settingsOf, sizesOf } from './settings';

/** Sizes and settings, with Q, K and V from this input on. */
function attentionOf(context: LoweringContext, first: number): DeviceAttention {
  const { node } = context;
  const [q, k, v] = [0, 1, 2].map((port) => inputType(context, first + port).dims);
  const sizes = sizesOf(node, q ?? [], k ?? [], v ?? [], undefined);
  const scale = floatAttribute(node, 'scale', 1 / Math.sqrt(sizes.size));
  return { ...sizes, scale, causal: settingsOf(node).causal };
}

/** Whether a kernel does all that this Attention asks for; others are expanded. */
export function attentionFits(context: LoweringContext): boolean {
  const { node, plan } = context;
  const [, , , ...others] = node.inputs;
  const [, ...further] = node.outputs;
  const plain =
    settingsOf(node).softcap === 0 && [...others, ...further].every((name) => name === '');
  const ranks = new Set([0, 1, 2].map((port) => inputType(context, port).dims.length));
  const of = plain && ranks.size === 1 ? attentionOf(context, 0) : undefined;
  return of !== undefined && of.keys > 0 && forwardFits(plan, of);
}

export function attentionTrainFits(context: LoweringContext): boolean {
  const of = attentionOf(context, 0);
  return of.keys > 0 && forwardFits(context.plan, of);
}

export function attentionGradFits(context: LoweringContext): boolean {
  const of = attentionOf(context, 1);
  return of.keys > 0 && backwardFits(context.plan, of);
}

/** (Q, K, V) -> Y; AttentionTrain: Y, lse */
export const attention: Lowering = (context) => {
  const inputs = [0, 1, 2].map((port) => input(context, port));
  const outputs = [outputType(context), ...(hasOutput(context, 1) ? [outputType(context, 1)] : [])];
  return attentionForward(context.plan, attentionOf(context, 0), inputs, outputs);
};

/** (dY, Q, K, V, Y, lse) -> dQ, dK, dV */
export const attentionGradient: Lowering = (context) => {
  const { plan } = context;
  const of = attentionOf(context, 1);
  const [dy, q, k, v, y, lse] = [0, 1, 2, 3, 4, 5].map((port) => input(context, port));
  if (!dy || !q || !k || !v || !y || !lse) return [];
  const types = [1, 2, 3].map((port) => inputType(context, port));
  const { batch, queryHeads, queries } = of;
  const statistic = { dtype: 'float32', dims: [batch, queryHeads, queries] } as const;
  const [dq, delta] = attentionBackward(
    plan,
    of,
    'queries',
    [q, k, v, dy, lse, y],
    [...types.slice(0, 1), statistic],
  );
  if (!dq || !delta) return [];
  // δ is needed for dK even where dQ is not.
  const keys = attentionBackward(plan, of, 'keys', [q, k, v, dy, lse, delta], types.slice(1));
  return [dq, ...keys];
};
