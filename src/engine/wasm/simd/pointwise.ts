/** Groups of elementwise operators as one loop, or as what a product does with its sums. */
import { invariant } from '../../../core/errors';
import { sizeOf } from '../../../core/dtype';
import { forRange, i32, NOTHING, seq, v128 } from './code';
import type { Code, Local } from './code';
import { toKind } from './expression';
import type { Typed } from './expression';
import { gather } from './matmul';
import { anchorAccess } from './plan';
import type { GroupFinish, Kernel, KernelContext, StepPlan, Unit } from './plan';
import { addressOf, collapse, refined, reshaped, rowMajor } from './view';
import type { Buffer, View } from './view';
import type { FunctionWriter } from './module';

/** Vectors that one piece of work should have at least. */
const CHUNK_ELEMENTS = 8192;

export function storeVector(pointer: Local, value: Code, offset: number, lanes: number): Code {
  if (lanes === 4) return v128.store(pointer.get, value, offset);
  // Every lane takes the value from the stack anew, so it is a local or a constant.
  return seq(
    ...Array.from({ length: lanes }, (_, lane) =>
      v128.storeLane(pointer.get, value, lane, offset + 4 * lane),
    ),
  );
}

/** As computed with, from how it lies in memory. */
const loaded = (view: View, code: Code): Typed =>
  view.kind === 'bool' ? toKind({ kind: 'int', code }, 'bool') : { kind: view.kind, code };
const stored = (value: Typed): Code =>
  value.kind === 'bool' ? toKind(value, 'int').code : value.code;

/** Computes all members in order; `read` gives those inputs that no member makes. */
function evaluate(
  writer: FunctionWriter,
  plan: StepPlan,
  unit: Unit,
  values: Map<Buffer, Typed>,
  read: (view: View) => Code,
  store: (output: View, value: Code) => Code,
): Code {
  const code: Code[] = [];
  const taken = new Map<View, Typed>();
  for (const { inputs, output, formula } of unit.members) {
    const result = writer.vector();
    const own = inputs.map((input) => {
      const known = values.get(input.buffer) ?? taken.get(input);
      if (known) return known;
      const local = writer.vector();
      code.push(local.set(loaded(input, read(input)).code));
      const value: Typed = { kind: input.kind, code: local.get };
      taken.set(input, value);
      return value;
    });
    const typed = toKind(
      writer.scoped(() => formula(writer, own)),
      output.kind,
    );
    code.push(result.set(typed.code));
    const value: Typed = { kind: output.kind, code: result.get };
    values.set(output.buffer, value);
    if (!plan.isInner(unit, output.buffer)) {
      let kept = result;
      if (output.kind === 'bool') {
        kept = writer.vector();
        code.push(kept.set(stored(value)));
      }
      code.push(store(output, kept.get));
    }
  }
  return seq(...code);
}

interface Leaf {
  readonly view: View;
  readonly strides: readonly number[];
}

/** Byte offset of the lowest element, 0 but where a stride runs backwards: offsets are counted from there. */
function lowest(dims: readonly number[], strides: readonly number[]): number {
  return strides.reduce(
    (sum, stride, axis) => sum + Math.min(0, 4 * stride * ((dims[axis] ?? 1) - 1)),
    0,
  );
}

/** A group without a product: loops over its elements. */
export function loopKernel(plan: StepPlan, unit: Unit): Kernel {
  const { members, size } = unit;
  const inner = (buffer: Buffer) => members.some(({ output }) => output.buffer === buffer);
  const axes = refined(members.map(({ output }) => output.dims));
  invariant(axes !== undefined, 'A group runs over shapes that cross.');
  const leaves: Leaf[] = members.flatMap(({ inputs }) =>
    inputs
      .filter(({ buffer }) => !inner(buffer))
      .map((view) => {
        const wide = reshaped(view, axes);
        invariant(wide !== undefined, 'An input of a group cannot be addressed.');
        return { view, strides: wide.strides };
      }),
  );
  const lengths = collapse(axes, [rowMajor(axes), ...leaves.map(({ strides }) => strides)]);
  const { dims } = lengths;
  const strideOf = new Map(
    leaves.map(({ view }, index) => [view, lengths.strides[index + 1] ?? []]),
  );
  const length = dims.at(-1) ?? 1;
  const outer = dims.slice(0, -1);
  // Rows are given out in pieces; a single row is cut itself.
  const flat = outer.length === 0;
  const rows = sizeOf(outer);
  const perChunk = flat
    ? CHUNK_ELEMENTS
    : Math.max(1, Math.min(rows, Math.floor(CHUNK_ELEMENTS / length)));
  const chunks = Math.ceil((flat ? size : rows) / perChunk);
  const outputs = members.filter(({ output }) => !plan.isInner(unit, output.buffer));

  const write = ({ writer, chunk }: KernelContext): Code => {
    // One running offset for each way of walking through memory.
    const patterns = new Map<string, { readonly strides: readonly number[]; readonly at: Local }>();
    const patternOf = (strides: readonly number[]) => {
      const key = strides.join();
      const found = patterns.get(key) ?? { strides, at: writer.int() };
      patterns.set(key, found);
      return found;
    };
    const contiguous = patternOf(rowMajor(dims));
    for (const strides of strideOf.values()) patternOf(strides);
    const still = new Map<View, Local>();
    const vectorCode = (lanes: number): Code => {
      const read = (view: View): Code => {
        const fixed = still.get(view);
        if (fixed !== undefined) return fixed.get;
        const strides = strideOf.get(view) ?? [];
        const { at } = patternOf(strides);
        const stride = strides.at(-1) ?? 0;
        const base = addressOf(view) + lowest(dims, strides);
        if (stride === 1) return v128.load(at.get, base);
        const lane = (index: number) => 4 * stride * Math.min(index, lanes - 1);
        return gather(at, base, [0, 1, 2, 3].map(lane));
      };
      return writer.scoped(() =>
        evaluate(writer, plan, unit, new Map(), read, (output, value) =>
          storeVector(contiguous.at, value, addressOf(output), lanes),
        ),
      );
    };
    const advance = (): Code =>
      seq(
        ...[...patterns.values()].map(({ strides, at }) => at.increase(16 * (strides.at(-1) ?? 0))),
      );
    const hoist = (): Code =>
      seq(
        ...leaves.flatMap(({ view }) => {
          const strides = strideOf.get(view) ?? [];
          if ((strides.at(-1) ?? 0) !== 0 || still.has(view)) return [];
          const local = writer.vector();
          still.set(view, local);
          const base = addressOf(view) + lowest(dims, strides);
          return [local.set(v128.loadSplat(patternOf(strides).at.get, base))];
        }),
      );
    const counter = writer.int();
    if (flat) {
      const begin = i32.mul(chunk.get, i32.const(4 * perChunk));
      const start = seq(
        ...[...patterns.values()].map(({ strides, at }) =>
          at.set(
            i32.add(
              i32.mul(begin, i32.const(strides.at(-1) ?? 0)),
              i32.const(-lowest(dims, strides)),
            ),
          ),
        ),
      );
      const left = i32.sub(i32.const(size), i32.mul(chunk.get, i32.const(perChunk)));
      const end = writer.int();
      const bound = end.set(
        i32.select(left, i32.const(perChunk), i32.ltS(left, i32.const(perChunk))),
      );
      const hoisted = hoist();
      // Planned buffers end with room for a whole vector.
      return seq(
        start,
        bound,
        hoisted,
        forRange(counter, i32.const(0), end.get, 4, seq(vectorCode(4), advance())),
      );
    }
    const row = writer.int();
    const last = writer.int();
    const firstRow = i32.mul(chunk.get, i32.const(perChunk));
    const lastRow = i32.add(firstRow, i32.const(perChunk));
    const addresses = seq(
      ...[...patterns.values()].map(({ strides, at }) => {
        const terms: Code[] = [];
        let divisor = 1;
        for (let axis = outer.length - 1; axis >= 0; axis--) {
          const dim = outer[axis] ?? 1;
          const stride = strides[axis] ?? 0;
          if (stride !== 0) {
            const quotient = divisor === 1 ? row.get : i32.divU(row.get, i32.const(divisor));
            const index = axis === 0 ? quotient : i32.remU(quotient, i32.const(dim));
            terms.push(i32.mul(index, i32.const(4 * stride)));
          }
          divisor *= dim;
        }
        const start = i32.const(-lowest(dims, strides));
        return at.set(terms.reduce((sum, term) => i32.add(sum, term), start));
      }),
    );
    const hoisted = hoist();
    const whole = Math.floor(length / 4);
    const loop =
      whole === 0
        ? NOTHING
        : forRange(counter, i32.const(0), i32.const(whole), 1, seq(vectorCode(4), advance()));
    const tail = length % 4 === 0 ? NOTHING : vectorCode(length % 4);
    return seq(
      last.set(i32.select(lastRow, i32.const(rows), i32.ltS(lastRow, i32.const(rows)))),
      forRange(row, firstRow, last.get, 1, seq(addresses, hoisted, loop, tail)),
    );
  };
  return {
    name: members.map(({ name }) => name).join('+'),
    reads: leaves.map(({ view }) => view),
    writes: outputs.map(({ output }) => output),
    chunks,
    write,
  };
}

/** A group that begins with a product: the product's kernel, with the members as its finish. */
export function anchoredKernel(plan: StepPlan, unit: Unit): Kernel {
  const { anchor, members } = unit;
  invariant(anchor !== null, 'This group does not begin with a product.');
  const inner = (buffer: Buffer) => unit.has(buffer);
  const finish: GroupFinish = ({ writer }, value, place) => {
    const { element, elementOffset, column, columnOffset, lanes } = place;
    const sum = writer.vector();
    const code: Code[] = [sum.set(value)];
    const at = (view: View) => addressOf(view) + elementOffset;
    const keep = anchor.stores || !plan.isInner(unit, anchor.output.buffer);
    if (keep) code.push(storeVector(element, sum.get, at(anchor.output), lanes));
    const read = (view: View): Code => {
      const access = anchorAccess(view, anchor);
      invariant(access !== undefined, 'An input cannot be read beside a product.');
      if (access === 'element') return v128.load(element.get, at(view));
      if (access === 'column') return v128.load(column.get, addressOf(view) + columnOffset);
      return v128.loadSplat(i32.const(0), addressOf(view));
    };
    const values = new Map<Buffer, Typed>([
      [anchor.output.buffer, { kind: 'float', code: sum.get }],
    ]);
    code.push(
      writer.scoped(() =>
        evaluate(writer, plan, unit, values, read, (output, result) =>
          storeVector(element, result, at(output), lanes),
        ),
      ),
    );
    writer.release(sum);
    return seq(...code);
  };
  const outputs: View[] = [anchor.output, ...members.map(({ output }) => output)];
  return {
    name: [anchor.name, ...members.map(({ name }) => name)].join('+'),
    reads: [
      ...anchor.reads,
      ...members.flatMap(({ inputs }) => inputs.filter(({ buffer }) => !inner(buffer))),
    ],
    writes: outputs.filter(({ buffer }) => anchor.stores || !plan.isInner(unit, buffer)),
    chunks: anchor.chunks,
    scratch: anchor.scratch,
    write: (context) => anchor.write(context, finish),
  };
}
