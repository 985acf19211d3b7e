import { stringAttribute } from '../attributes';
import {
  constantInts,
  hasInput,
  input,
  inputType,
  outputType,
  requireInts,
  wgslType,
} from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { padMode, paddingOf } from './padding';
import type { PadMode, Padding } from './padding';

interface PaddedAxis {
  length: number;
  readonly before: number;
  readonly after: number;
}

/** Neighbouring axes that keep their length are one. */
function axesOf(dims: readonly number[], { before, after }: Padding): PaddedAxis[] {
  const axes: PaddedAxis[] = [];
  dims.forEach((length, at) => {
    const axis = { length, before: before[at] ?? 0, after: after[at] ?? 0 };
    const last = axes.at(-1);
    const plain = [last, axis].every((each) => each?.before === 0 && each.after === 0);
    if (last && plain) last.length *= length;
    else axes.push(axis);
  });
  return axes;
}

/** Pads and axes must be known; the constant may be computed. The arithmetic is that of `shownPositions`. */
export const pad: Lowering = (context) => {
  const { node, plan } = context;
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const mode = padMode(node);
  const on = hasInput(context, 3) ? requireInts(context, 3) : constantInts(context, 3);
  const axes = axesOf(dims, paddingOf(node, dims.length, requireInts(context, 1), on));
  const filled = mode === 'constant' && hasInput(context, 2);
  const lines: string[] = [];
  const inside: string[] = [];
  const address: string[] = [];
  let [own, outer] = [1, 1];
  for (const [number, { length, before, after }] of [...axes.entries()].reverse()) {
    const padded = length + before + after;
    const first = Math.max(0, -before);
    const kept = length - first - Math.max(0, -after);
    const at = `(index / ${outer}) % ${padded} - ${Math.max(0, before)}`;
    const name = `i${number}`;
    lines.push(`let ${name} = ${shown(mode, at, kept)} + ${first};`);
    if (mode === 'constant' && (before > 0 || after > 0)) {
      inside.push(`(${name} >= ${first}) & (${name} < ${first + kept})`);
    }
    address.push(`${name} * ${own}`);
    own *= length;
    outer *= padded;
  }
  const zero = wgslType(output.dtype) === 'f32' ? '0.0' : '0';
  const read = `x0(${address.length === 0 ? 'index' : address.join(' + ')})`;
  const value = [
    `var value = ${filled ? 'x1(0)' : zero};`,
    `if (${inside.join(' & ')}) { value = ${read}; }`,
  ];
  const y = plan.pointwise({
    label: `Pad ${stringAttribute(node, 'mode', 'constant')}`,
    inputs: filled ? [input(context, 0), input(context, 2)] : [input(context, 0)],
    output,
    lets: [...lines, ...(inside.length === 0 ? [] : value)].join('\n'),
    value: inside.length === 0 ? read : 'value',
  });
  return [y];
};

function shown(mode: PadMode, at: string, length: number): string {
  if (mode === 'wrap') return `around(${at}, ${length})`;
  if (mode === 'edge') return `clamp(${at}, 0, ${length - 1})`;
  if (mode === 'reflect') return length === 1 ? '0' : `mirror(${at}, ${length - 1})`;
  return at;
}
