/** Rows taken by number, and their gradient: sums in the order of the numbers, so that they repeat. */
import { sizeOf } from '../../../../core/dtype';
import { intAttribute } from '../../../../ops/attributes';
import { normalizeAxis } from '../../../../ops/shapes';
import { Unsupported } from '../call';
import type { Lowering, LoweringTable } from '../call';
import { control, f32x4, forRange, i32, repeat, seq, v128 } from '../code';
import type { Code, Local } from '../code';
import type { FunctionWriter } from '../module';
import { storeVector } from '../pointwise';
import { addressOf } from '../view';

/** A negative number counts from the end. */
const wrapped = (row: Local, rows: number): Code =>
  row.set(i32.select(i32.add(row.get, i32.const(rows)), row.get, i32.ltS(row.get, i32.const(0))));

function line(
  writer: FunctionWriter,
  length: number,
  pointers: readonly Local[],
  body: (lanes: number) => Code,
): Code {
  const counter = writer.int();
  const step = seq(...pointers.map((pointer) => pointer.increase(16)));
  return seq(
    repeat(counter, Math.floor(length / 4), seq(body(4), step)),
    length % 4 === 0 ? [] : body(length % 4),
  );
}

const gather: Lowering = (call) => {
  const data = call.contiguous(call.input(0));
  const indices = call.contiguous(call.input(1));
  if (indices.kind !== 'int') throw new Unsupported('Gather');
  const output = call.output();
  const axis = normalizeAxis(call.node, intAttribute(call.node, 'axis', 0), data.dims.length);
  const rows = data.dims[axis] ?? 1;
  const inner = sizeOf(data.dims.slice(axis + 1));
  const count = sizeOf(indices.dims);
  const total = sizeOf(data.dims.slice(0, axis)) * count;
  const perChunk = Math.max(1, Math.floor(8192 / inner));
  call.plan.kernel({
    name: 'Gather',
    reads: [data, indices],
    writes: [output],
    chunks: Math.ceil(total / perChunk),
    write: ({ writer, chunk }) => {
      const [at, end, row, from, to] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
        Local,
        Local,
        Local,
        Local,
        Local,
      ];
      const value = writer.vector();
      const copy = (lanes: number) =>
        seq(
          value.set(v128.load(from.get, addressOf(data))),
          storeVector(to, value.get, addressOf(output), lanes),
        );
      // A number outside the table gives what makes the step change nothing.
      const broken = (lanes: number) =>
        seq(value.set(f32x4.const(NaN)), storeVector(to, value.get, addressOf(output), lanes));
      const outer = i32.divU(at.get, i32.const(count));
      const index = i32.mul(i32.remU(at.get, i32.const(count)), i32.const(4));
      const first = i32.mul(chunk.get, i32.const(perChunk));
      const bound = i32.add(first, i32.const(perChunk));
      return seq(
        end.set(i32.select(bound, i32.const(total), i32.ltS(bound, i32.const(total)))),
        forRange(
          at,
          first,
          end.get,
          1,
          seq(
            row.set(i32.load(index, addressOf(indices))),
            wrapped(row, rows),
            to.set(i32.mul(at.get, i32.const(4 * inner))),
            control.if(
              i32.ltU(row.get, i32.const(rows)),
              seq(
                from.set(
                  i32.mul(i32.add(i32.mul(outer, i32.const(rows)), row.get), i32.const(4 * inner)),
                ),
                line(writer, inner, [from, to], copy),
              ),
              line(writer, inner, [to], broken),
            ),
          ),
        ),
      );
    },
  });
};

/** Columns that one thread sums: a line of the cache. */
const BLOCK = 16;

const gatherGradient: Lowering = (call) => {
  const dy = call.contiguous(call.input(0));
  const indices = call.contiguous(call.input(1));
  if (indices.kind !== 'int') throw new Unsupported('GatherGrad');
  const output = call.output();
  const [rows = 1, ...rest] = output.dims;
  const inner = sizeOf(rest);
  const count = sizeOf(indices.dims);
  const blocks = Math.ceil(inner / BLOCK);
  call.plan.kernel({
    name: 'GatherGrad',
    reads: [dy, indices],
    writes: [output],
    chunks: blocks,
    write: ({ writer, chunk }) => {
      const [at, row, from, to, column] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
        Local,
        Local,
        Local,
        Local,
        Local,
      ];
      const value = writer.vector();
      const lanesOf = (width: number) =>
        Array.from({ length: Math.ceil(width / 4) }, (_, j) => Math.min(4, width - 4 * j));
      const part = (width: number): Code => {
        const clear = seq(
          value.set(f32x4.const(0)),
          ...lanesOf(width).map((lanes, j) =>
            storeVector(to, value.get, addressOf(output) + 16 * j, lanes),
          ),
        );
        const add = seq(
          ...lanesOf(width).map((lanes, j) =>
            seq(
              value.set(
                f32x4.add(
                  v128.load(to.get, addressOf(output) + 16 * j),
                  v128.load(from.get, addressOf(dy) + 16 * j),
                ),
              ),
              storeVector(to, value.get, addressOf(output) + 16 * j, lanes),
            ),
          ),
        );
        return seq(
          to.set(column.get),
          repeat(at, rows, seq(clear, to.increase(4 * inner))),
          from.set(column.get),
          forRange(
            at,
            i32.const(0),
            i32.const(4 * count),
            4,
            seq(
              row.set(i32.load(at.get, addressOf(indices))),
              wrapped(row, rows),
              control.if(
                i32.ltU(row.get, i32.const(rows)),
                seq(to.set(i32.add(column.get, i32.mul(row.get, i32.const(4 * inner)))), add),
              ),
              from.increase(4 * inner),
            ),
          ),
        );
      };
      const edge = inner % BLOCK;
      const body =
        edge === 0
          ? part(BLOCK)
          : blocks === 1
            ? part(edge)
            : control.if(i32.ltS(chunk.get, i32.const(blocks - 1)), part(BLOCK), part(edge));
      return seq(column.set(i32.mul(chunk.get, i32.const(4 * BLOCK))), body);
    },
  });
};

export const INDEXING: LoweringTable = { Gather: gather, GatherGrad: gatherGradient };
