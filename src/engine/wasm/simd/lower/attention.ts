/** AttentionTrain and AttentionGrad in either layout: both are strided views of [batch, heads, rows, numbers]. */
import { attentionHeads } from '../../../../ops/attention/heads';
import { intAttribute } from '../../../../ops/attributes';
import { Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { attentionKernel } from '../attention';
import { attentionGradientKernel } from '../attention-gradient';
import type { AttentionShape } from '../attention-parts';
import { permuted, whole } from '../view';
import type { View } from '../view';

/** Longest row of scores that is kept near. */
const MOST_KEYS = 4096;

function shapeOf(call: Call, first: number): AttentionShape {
  const [q, k, v] = [0, 1, 2].map((index) => call.dims(first + index));
  const { batch, queryHeads, heads, queries, keys, size, valueSize, scale } = attentionHeads(
    call.node,
    q ?? [],
    k ?? [],
    v ?? [],
  );
  if (keys > MOST_KEYS) throw new Unsupported('attention over long rows');
  const causal = intAttribute(call.node, 'is_causal', 0) !== 0;
  return {
    batch,
    heads: queryHeads,
    keyHeads: heads,
    queries,
    keys,
    size,
    valueSize,
    scale,
    causal,
  };
}

/** [batch, rows, heads · numbers] or [batch, heads, rows, numbers] as the latter. */
function byHeads(call: Call, view: View, heads: number): View {
  if (view.dims.length === 4) return dense(call, view);
  const [batch = 1, rows = 1, width = 1] = view.dims;
  const split = call.reshape(dense(call, view), [batch, rows, heads, width / heads]);
  return permuted(split, [0, 2, 1, 3]);
}

const dense = (call: Call, view: View): View =>
  view.strides.at(-1) === 1 || view.dims.at(-1) === 1 ? view : call.contiguous(view);

const attention: Lowering = (call) => {
  const shape = shapeOf(call, 0);
  const { batch, heads, keyHeads, queries } = shape;
  const q = byHeads(call, call.input(0), heads);
  const k = byHeads(call, call.input(1), keyHeads);
  const v = byHeads(call, call.input(2), keyHeads);
  const y = byHeads(call, call.output(0), heads);
  const dims = [batch, heads, queries];
  const lse = call.output(1, dims, 'float');
  call.plan.kernel(attentionKernel(shape, [q, k, v], y, whole(lse.buffer, dims, 'float')));
};

const attentionGradient: Lowering = (call) => {
  const shape = shapeOf(call, 1);
  const { heads, keyHeads } = shape;
  const own = (index: number) => byHeads(call, call.input(index), heads);
  const shared = (index: number) => byHeads(call, call.input(index), keyHeads);
  const gradient = (index: number, count: number) =>
    byHeads(call, call.output(index, call.dims(index + 1)), count);
  call.plan.kernel(
    attentionGradientKernel(shape, {
      dy: own(0),
      q: own(1),
      k: shared(2),
      v: shared(3),
      y: own(4),
      lse: call.contiguous(call.input(5)),
      dq: gradient(0, heads),
      dk: gradient(1, keyHeads),
      dv: gradient(2, keyHeads),
    }),
  );
};

export const ATTENTION: LoweringTable = {
  AttentionTrain: attention,
  AttentionGrad: attentionGradient,
};
