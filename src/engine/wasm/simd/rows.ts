/** Kernels that go over rows of a contiguous [rows, length] value several times: softmax, cross-entropy, norms. */
import { f32x4, forRange, i32, NOTHING, repeat, seq } from './code';
import type { Code, Local } from './code';
import type { FunctionWriter } from './module';
import type { Kernel, KernelContext } from './plan';
import type { View } from './view';
import { across, foldOf, masked, startOf } from './reduce';
import type { Combine } from './reduce';

const CHUNK_ELEMENTS = 8192;

/** One row while its kernel is written. `at` is the byte offset of the vector that is looked at. */
export class Row {
  constructor(
    readonly context: KernelContext,
    /** Number of the row, and the byte offset of its beginning in a [rows, length] value. */
    readonly index: Local,
    readonly at: Local,
    /** Byte offset of the vector in its row. */
    readonly column: Local,
    readonly length: number,
  ) {}

  get writer(): FunctionWriter {
    return this.context.writer;
  }

  /** Runs over the row's vectors; the last may have fewer than four lanes. */
  pass(body: (lanes: number) => Code): Code {
    const counter = this.writer.int();
    const vectors = Math.floor(this.length / 4);
    const rest = this.length % 4;
    const code = seq(
      this.column.set(i32.const(0)),
      repeat(
        counter,
        vectors,
        seq(
          this.writer.scoped(() => body(4)),
          this.at.increase(16),
          this.column.increase(16),
        ),
      ),
      rest === 0 ? NOTHING : this.writer.scoped(() => body(rest)),
      this.at.increase(-16 * vectors),
    );
    this.writer.release(counter);
    return code;
  }

  /** Folds a value of every vector over the row, into all lanes of `total`. */
  fold(total: Local, combine: Combine, value: (lanes: number) => Code): Code {
    return seq(
      total.set(f32x4.const(startOf(combine))),
      this.pass((lanes) =>
        total.set(foldOf(combine)(total.get, masked(value(lanes), lanes, combine))),
      ),
      across(total, combine),
    );
  }
}

export interface RowsKernel {
  readonly name: string;
  readonly rows: number;
  readonly length: number;
  readonly reads: readonly View[];
  readonly writes: readonly View[];
  row(row: Row): Code;
}

export function rowsKernel({ name, rows, length, reads, writes, row }: RowsKernel): Kernel {
  const perChunk = Math.max(1, Math.min(rows, Math.floor(CHUNK_ELEMENTS / length)));
  return {
    name,
    reads,
    writes,
    chunks: Math.ceil(rows / perChunk),
    write: (context) => {
      const { writer, chunk } = context;
      const [index, end, at, column] = [writer.int(), writer.int(), writer.int(), writer.int()];
      const first = i32.mul(chunk.get, i32.const(perChunk));
      const bound = i32.add(first, i32.const(perChunk));
      const body = row(new Row(context, index, at, column, length));
      return seq(
        end.set(i32.select(bound, i32.const(rows), i32.ltS(bound, i32.const(rows)))),
        forRange(
          index,
          first,
          end.get,
          1,
          seq(at.set(i32.mul(index.get, i32.const(4 * length))), body),
        ),
      );
    },
  };
}
