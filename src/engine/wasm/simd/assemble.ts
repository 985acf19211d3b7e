/**
 * The module of one step: a function for each kernel and `run`, which every thread calls. Kernels are done one after
 * another; the pieces of one are taken from a counter by whichever thread is free, so a thread that comes late or is
 * held up delays nothing, and since each piece writes its own elements the results do not depend on who did it.
 */
import { atomic, control, I32, i32, NOTHING, seq } from './code';
import type { Code } from './code';
import { relaxed, separate } from './matmul';
import { call, ModuleWriter } from './module';
import type { Kernel, Phase } from './plan';

/** Looks at a counter before sleeping: some microseconds. */
const SPINS = 4000;
const SLEEP_NANOSECONDS = 1_000_000;
/** Bytes between counters, a cache line. */
const LINE = 64;

export interface Layout {
  /** Counters of the phases. */
  readonly counters: number;
  /** Working memory of the first thread; the others' follow. */
  readonly scratch: number;
  readonly scratchBytes: number;
}

export interface Assembly {
  readonly threads: number;
  readonly fused: boolean;
  readonly maximumPages: number;
  readonly shared: boolean;
}

/** Bytes of counters: one line for sleepers, two for each phase. */
export const counterBytes = (phases: number): number => LINE * (1 + 2 * phases);

export const scratchBytes = (kernels: readonly Kernel[]): number =>
  Math.ceil(Math.max(...kernels.map(({ scratch = 0 }) => scratch), LINE) / LINE) * LINE + 2 * LINE;

interface Written {
  readonly indices: readonly number[];
  readonly chunks: number;
}

export function assemble(
  phases: readonly Phase[],
  layout: Layout,
  { threads, fused, maximumPages, shared }: Assembly,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const scratch = module.global();
  const madd = fused ? relaxed : separate;
  const functions = phases.map((tasks) =>
    tasks.map(({ kernels, chunks }): Written => ({
      chunks,
      indices: kernels.map((kernel) =>
        module.function([I32], (writer, chunk) =>
          kernel.write({ writer, module, madd, chunk, scratch: scratch.get }),
        ),
      ),
    })),
  );
  const run = module.function([I32, I32], (writer, thread, maySleep) => {
    const [chunk, seen, spins] = [writer.int(), writer.int(), writer.int()];
    const own = i32.mul(thread.get, i32.const(layout.scratchBytes));
    const sleepers = i32.const(layout.counters);
    const alone = ({ indices, chunks }: Written): Code =>
      chunks === 1
        ? seq(...indices.map((index) => call(index, i32.const(0))))
        : seq(
            chunk.set(i32.const(0)),
            control.doWhile(
              seq(...indices.map((index) => call(index, chunk.get)), chunk.increase(1)),
              i32.ltS(chunk.get, i32.const(chunks)),
            ),
          );
    // The pieces of a phase's tasks are numbered through.
    const piece = (tasks: readonly Written[], before: number): Code => {
      const [first, ...rest] = tasks;
      if (first === undefined) return NOTHING;
      const own = before === 0 ? chunk.get : i32.sub(chunk.get, i32.const(before));
      const work = seq(...first.indices.map((index) => call(index, own)));
      const end = before + first.chunks;
      if (rest.length === 0) return work;
      return control.if(i32.ltS(chunk.get, i32.const(end)), work, piece(rest, end));
    };
    const together = (tasks: readonly Written[], phase: number): Code => {
      const chunks = tasks.reduce((sum, task) => sum + task.chunks, 0);
      const next = i32.const(layout.counters + LINE * (1 + 2 * phase));
      const done = i32.const(layout.counters + LINE * (2 + 2 * phase));
      const count = i32.const(chunks);
      const finishOne = control.if(
        i32.eq(atomic.add(done, i32.const(1)), i32.const(chunks - 1)),
        control.if(atomic.load(sleepers), atomic.notify(done)),
      );
      const take = control.doWhile(
        seq(
          chunk.set(atomic.add(next, i32.const(1))),
          control.if(i32.ltS(chunk.get, count), seq(piece(tasks, 0), finishOne)),
        ),
        i32.ltS(chunk.get, count),
      );
      const sleep = control.if(
        i32.and(i32.ltS(spins.get, i32.const(0)), maySleep.get),
        seq(
          atomic.add(sleepers, i32.const(1)),
          [0x1a],
          atomic.wait(done, seen.get, SLEEP_NANOSECONDS),
          atomic.add(sleepers, i32.const(-1)),
          [0x1a],
        ),
      );
      const wait = control.doWhile(
        seq(
          seen.set(atomic.load(done)),
          control.if(i32.ltS(seen.get, count), seq(spins.increase(-1), sleep)),
        ),
        i32.ltS(seen.get, count),
      );
      return seq(take, spins.set(i32.const(SPINS)), wait);
    };
    return seq(
      scratch.set(i32.add(own, i32.const(layout.scratch))),
      ...functions.map((tasks, phase) =>
        threads === 1 ? seq(...tasks.map(alone)) : together(tasks, phase),
      ),
    );
  });
  module.export('run', run);
  // For a step whose kernels are timed one by one, on one thread.
  functions
    .flatMap((tasks) => tasks.flatMap(({ indices }) => indices))
    .forEach((index, number) => module.export(`kernel${number}`, index));
  const prepare = module.function([], () => scratch.set(i32.const(layout.scratch)));
  module.export('prepare', prepare);
  return module.build({ initialPages: 1, maximumPages, shared });
}

/** Whether this engine knows f32x4.relaxed_madd, asked by a module that holds one. */
export function hasRelaxedSimd(): boolean {
  const module = new ModuleWriter();
  const index = module.function([I32], (writer) => {
    const a = writer.vector();
    return a.set(relaxed(a.get, a.get, a.get));
  });
  module.export('run', index);
  const bytes = module.build({ initialPages: 1, maximumPages: 1, shared: false });
  return WebAssembly.validate(bytes);
}
