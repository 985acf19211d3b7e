import { stringAttribute } from '../attributes';
import { kernel } from '../lowering/kernel';
import {
  constantInts,
  given,
  hasInput,
  inputType,
  outputType,
  requireInts,
} from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { stridesOf } from '../shapes';
import { padMode, paddingOf } from './padding';

/** Pads and axes must be known; the constant may be computed. The arithmetic is that of `shownPositions`. */
export const pad: Lowering = (context) => {
  const { node } = context;
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const mode = padMode(node);
  const axes = hasInput(context, 3) ? requireInts(context, 3) : constantInts(context, 3);
  const { before, after } = paddingOf(node, dims.length, requireInts(context, 1), axes);
  const own = stridesOf(dims);
  const outer = stridesOf(output.dims);
  const filled = mode === 'constant' && hasInput(context, 2);
  const inside: string[] = [];
  const lines = dims.map((dim, axis) => {
    const [lead = 0, tail = 0] = [before[axis], after[axis]];
    const first = Math.max(0, -lead);
    const kept = dim - first - Math.max(0, -tail);
    const at = `((index / ${outer[axis]}) % ${output.dims[axis]} - ${Math.max(0, lead)})`;
    if (mode === 'constant') inside.push(`i${axis} >= ${first} && i${axis} < ${first + kept}`);
    return `  let i${axis} = ${shown(mode, at, kept)} + ${first};`;
  });
  const address = dims.map((_, axis) => `i${axis} * ${own[axis]}`).join(' + ');
  const zero = output.dtype.includes('float') ? '0.0' : '0';
  const run = kernel(context.backend, {
    label: `Pad ${stringAttribute(node, 'mode', 'constant')}`,
    output,
    inputCount: filled ? 2 : 1,
    helpers: MIRROR,
    body: `${lines.join('\n')}
  var value = ${filled ? 'x1[0]' : zero};
  if (${inside.length === 0 ? 'true' : inside.join(' && ')}) {
    value = x0[${address === '' ? '0' : address}];
  }
  result[index] = value;`,
  });
  return (inputs) => [run(filled ? [given(inputs[0]), given(inputs[2])] : [given(inputs[0])])];
};

function shown(mode: string, at: string, length: number): string {
  if (mode === 'wrap') return `around(${at}, ${length})`;
  if (mode === 'edge') return `clamp(${at}, 0, ${length - 1})`;
  if (mode === 'reflect') return length === 1 ? `(${at} * 0)` : `mirror(${at}, ${length - 1})`;
  return at;
}

const MIRROR = `
fn around(at: i32, length: i32) -> i32 {
  return ((at % length) + length) % length;
}
fn mirror(at: i32, last: i32) -> i32 {
  let phase = around(at, 2 * last);
  return min(phase, 2 * last - phase);
}`;
