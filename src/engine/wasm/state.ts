/**
 * State in typed arrays, which sessions read as feeds and the update writes in place. All work on one State goes
 * through its queue, because a session runs asynchronously: reads see whole steps only.
 */
import { Tensor } from 'onnxruntime-web/wasm';
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { State, StateSpec } from '../executor';

export class WasmState implements State {
  readonly specs: readonly StateSpec[];
  readonly #tensors = new Map<string, Tensor>();
  readonly #arrays = new Map<string, Float32Array>();
  #snapshot: Map<string, Float32Array> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(specs: readonly StateSpec[]) {
    this.specs = specs;
    for (const { name, dims } of specs) {
      invariant(!this.#arrays.has(name), `The state has two entries named "${name}".`);
      const array = new Float32Array(sizeOf(dims));
      this.#arrays.set(name, array);
      this.#tensors.set(name, new Tensor('float32', array, dims));
    }
  }

  has(name: string): boolean {
    return this.#arrays.has(name);
  }

  /** The live values: only to be used inside `enqueue`. */
  array(name: string): Float32Array {
    const found = this.#arrays.get(name);
    if (found !== undefined) return found;
    throw new AppError('engine/state', `The state has no entry named "${name}".`, { name });
  }

  tensor(name: string): Tensor | undefined {
    return this.#tensors.get(name);
  }

  /** Runs `work` after everything asked before; a failure is the caller's and does not stop the queue. */
  enqueue<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
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
      this.#snapshot = new Map([...this.#arrays].map(([name, array]) => [name, array.slice()]));
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
    this.#arrays.clear();
    this.#tensors.clear();
    this.#snapshot = null;
  }
}
