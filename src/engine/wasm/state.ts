/**
 * State in the executor's linear memory, where emitted programs change it in place and sessions of onnxruntime read it
 * as feeds. All work on one State goes through its queue, because a session runs asynchronously: reads see whole steps
 * only. Each entry begins at a multiple of 64 bytes and ends with room for whole vectors.
 */
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { State, StateSpec } from '../executor';
import type { LinearMemory } from './simd/memory';
import { paddedBytes } from './simd/plan';

interface Entry {
  readonly address: number;
  readonly size: number;
}

export class WasmState implements State {
  readonly specs: readonly StateSpec[];
  readonly #memory: LinearMemory;
  readonly #entries = new Map<string, Entry>();
  readonly #region: number;
  #snapshot: Map<string, Float32Array> | null = null;
  #last: Promise<unknown> = Promise.resolve();
  /** Work that is asked for and not done. */
  #pending = 0;
  #disposed = false;

  constructor(specs: readonly StateSpec[], memory: LinearMemory) {
    this.specs = specs;
    this.#memory = memory;
    let bytes = 0;
    for (const { name, dims } of specs) {
      invariant(!this.#entries.has(name), `The state has two entries named "${name}".`);
      const size = sizeOf(dims);
      this.#entries.set(name, { address: bytes, size });
      bytes += paddedBytes(size);
    }
    this.#region = memory.allocate(bytes);
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Where an entry lies in the linear memory. */
  address(name: string): number | undefined {
    const entry = this.#entries.get(name);
    return entry && this.#region + entry.address;
  }

  /** The live values, until memory is next allocated: only to be used inside `enqueue`. */
  array(name: string): Float32Array {
    const found = this.#entries.get(name);
    if (found !== undefined) return this.#memory.floats(this.#region + found.address, found.size);
    throw new AppError('engine/state', `The state has no entry named "${name}".`, { name });
  }

  /** Runs `work` after everything asked before; a failure is the caller's and does not stop the queue. */
  enqueue<T>(work: () => T | Promise<T>): Promise<T> {
    this.#pending++;
    const result = this.#last.then(work);
    const done = () => {
      this.#pending--;
    };
    this.#last = result.then(done, done);
    return result;
  }

  /** Runs `work` at once where nothing is under way; else undefined. */
  runNow<T>(work: () => T): { readonly value: T } | { readonly error: unknown } | undefined {
    if (this.#pending > 0) return undefined;
    try {
      return { value: work() };
    } catch (error) {
      return { error };
    }
  }

  read(names?: readonly string[]): Promise<Map<string, Float32Array>> {
    const wanted = names ?? this.specs.map(({ name }) => name);
    return this.enqueue(() => new Map(wanted.map((name) => [name, this.array(name).slice()])));
  }

  write(values: ReadonlyMap<string, Float32Array>): Promise<void> {
    return this.enqueue(() => {
      for (const [name, array] of values) {
        const own = this.array(name);
        if (array.length !== own.length) {
          throw new AppError(
            'engine/state',
            `The state entry "${name}" holds ${own.length} numbers, but ${array.length} were given.`,
            { name },
          );
        }
        own.set(array);
      }
    });
  }

  snapshot(): Promise<void> {
    return this.enqueue(() => {
      this.#snapshot = new Map(
        this.specs.map(({ name }): [string, Float32Array] => [name, this.array(name).slice()]),
      );
    });
  }

  restore(): Promise<void> {
    return this.enqueue(() => {
      if (this.#snapshot === null) {
        throw new AppError('engine/state', 'There is no snapshot to go back to. Take one first.');
      }
      for (const [name, array] of this.#snapshot) this.array(name).set(array);
    });
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#snapshot = null;
    // Work that was asked for before may still be under way in this memory.
    void this.enqueue(() => {
      this.#entries.clear();
      this.#memory.free(this.#region);
    });
  }
}
