/** Attention backward as kernels of a plan; backward-sides.ts says what the two are. */
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';
import { direction } from './backward-sides';
import { threadBody } from './backward-threads';
import { floatsOf, tileBody, tileMemory } from './backward-tiles';
import { chooseTile, rowFunctions, THREADS, tilesThatFit } from './device-layout';
import type { DeviceAttention } from './device-layout';

/** Whether these kernels can do it on this device. */
export function backwardFits(plan: PlanBuilder, of: DeviceAttention): boolean {
  return plan.traits.software || tilesThatFit(plan, floatsOf(of)).length > 0;
}

/** (q, k, v, dY, lse, y) -> dQ, δ, or (q, k, v, dY, lse, δ) -> dK, dV */
export function attentionBackward(
  plan: PlanBuilder,
  of: DeviceAttention,
  side: 'queries' | 'keys',
  inputs: readonly DeviceTensor[],
  outputs: readonly StaticType[],
): readonly DeviceTensor[] {
  const { batch, queryHeads, heads, queries, keys, size, valueSize } = of;
  const work = 2 * batch * queryHeads * queries * keys * (size + valueSize);
  const tile = chooseTile(plan, 'AttentionGrad', of, floatsOf(of));
  const the = direction(of, side);
  const parts = batch * (side === 'queries' ? queryHeads : heads);
  const common = { label: the.label, inputs, outputs, work };
  if (tile === undefined) {
    return plan.kernel({
      ...common,
      declarations: rowFunctions(of),
      items: parts * Math.ceil(the.ownCount / 4),
      body: threadBody(the),
    });
  }
  return plan.kernel({
    ...common,
    declarations: `${rowFunctions(of)}${tileMemory(of, tile)}`,
    workgroups: { count: parts * Math.ceil(the.ownCount / tile.own), size: THREADS },
    streams: [0, 1, 2, 3],
    body: tileBody(the, tile),
  });
}
