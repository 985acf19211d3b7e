/** The pool of workers that do steps together with the thread that asks for them. */
import type { LinearMemory } from './memory';
import { ACTIVE, MAIL, OPEN, SIGNAL, SIGNAL_WORDS } from './signals';
import type { RunStep, ThreadMessage } from './signals';

/** A page's main thread must not sleep; it turns in a circle instead, for the microseconds that a kernel takes. */
const maySleep = (): boolean => !('document' in globalThis);

/** Milliseconds. */
const START_TIMEOUT = 10_000;

interface Thread {
  readonly worker: Worker;
  /** Resolves false when the worker cannot be started, or takes so long that steps begin without it. */
  readonly alive: Promise<boolean>;
  answers: (() => void)[];
}

export class ThreadPool {
  readonly #memory: LinearMemory;
  readonly #threads: Thread[] = [];
  #programs = 0;

  /** @param count all threads, with the one that asks. */
  constructor(memory: LinearMemory, count: number) {
    this.#memory = memory;
    for (let index = 1; index < count; index++) this.#start(index);
  }

  get size(): number {
    return this.#threads.length + 1;
  }

  /** Gives a module to all threads; resolves with the program's number when those that live have it. */
  async add(module: WebAssembly.Module): Promise<number> {
    const id = ++this.#programs;
    await Promise.all(
      this.#threads.map((_, index) => this.#tell(index, { kind: 'add', id, module })),
    );
    return id;
  }

  remove(id: number): void {
    this.#threads.forEach((_, index) => void this.#tell(index, { kind: 'remove', id }));
  }

  /** One step, on this thread and on those that come along. */
  run(id: number, run: RunStep): void {
    const sleeps = maySleep();
    if (this.#threads.length === 0) return run(0, 0);
    const words = this.#words();
    Atomics.store(words, OPEN, id);
    Atomics.add(words, SIGNAL, 1);
    Atomics.notify(words, SIGNAL);
    try {
      run(0, sleeps ? 1 : 0);
    } catch (cause) {
      // The others wait for pieces that nobody does any more. This thread can do steps alone.
      this.dispose();
      throw cause;
    } finally {
      Atomics.store(words, OPEN, 0);
      // A worker that came late only looks through what is done.
      for (let left = Atomics.load(words, ACTIVE); left > 0; left = Atomics.load(words, ACTIVE)) {
        if (sleeps) Atomics.wait(words, ACTIVE, left, 1);
      }
    }
  }

  dispose(): void {
    for (const { worker } of this.#threads) worker.terminate();
    this.#threads.length = 0;
    if (this.#memory.shared) Atomics.store(this.#words(), ACTIVE, 0);
  }

  #words(): Int32Array<ArrayBuffer> {
    return this.#memory.ints(0, SIGNAL_WORDS);
  }

  #start(thread: number): void {
    const worker = new Worker(new URL('./thread.worker.ts', import.meta.url), { type: 'module' });
    const own: Thread = {
      worker,
      alive: new Promise((resolve) => {
        worker.addEventListener('error', (event) => {
          // The step goes on without it: whoever lives does its pieces.
          console.warn('A thread of the trainer did not start.', event.message);
          resolve(false);
        });
        setTimeout(() => resolve(false), START_TIMEOUT);
      }),
      answers: [],
    };
    worker.addEventListener('message', () => own.answers.shift()?.());
    this.#threads.push(own);
    void this.#tell(thread - 1, { kind: 'start', memory: this.#memory.memory, thread });
  }

  #tell(index: number, message: ThreadMessage): Promise<unknown> {
    const thread = this.#threads[index];
    if (thread === undefined) return Promise.resolve();
    const answered = new Promise<void>((resolve) => thread.answers.push(resolve));
    const words = this.#words();
    Atomics.add(words, MAIL + index + 1, 1);
    thread.worker.postMessage(message);
    Atomics.add(words, SIGNAL, 1);
    Atomics.notify(words, SIGNAL);
    return Promise.race([answered, thread.alive]);
  }
}
