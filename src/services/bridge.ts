/**
 * The one bridge between the page and a worker. It starts the worker at the first call, forwards calls over
 * Comlink with callbacks proxied, and supervises: Comlink's promises hang for ever when a worker dies, so while
 * calls are pending the worker must answer a heartbeat. A dead worker rejects every pending call with
 * `worker/died`, and the next call starts a new one; one that had nothing to do for long is ended in the same way.
 * An AbortSignal behind a call's own arguments becomes `cancel` with the call's id. What a worker does is not its
 * business.
 */
import * as Comlink from 'comlink';
import { AppError } from '../core/errors';
import { Lifeline } from '../core/lifeline';
import { isMemoryError } from '../core/memory-error';
import { installErrorCodec } from '../protocol/errors';

installErrorCodec(Comlink.transferHandlers);

/** `Api` as the page sees it: every method asynchronous, and abandoned by a signal where the worker knows `cancel`. */
export type Async<Api> = {
  readonly [Name in keyof Api]: Api[Name] extends (...args: infer Args) => infer Result
    ? (...args: [...Args, signal?: AbortSignal]) => Promise<Awaited<Result>>
    : never;
};

/** The part of Worker that the bridge uses; a MessagePort in tests. */
export interface WorkerLike extends Comlink.Endpoint {
  terminate(): void;
}

export interface BridgeOptions<Api> {
  /** For messages: "The training worker stopped answering." */
  readonly name: string;
  readonly start: () => WorkerLike;
  /** Runs on a fresh worker before its first call: opens it, connects its ports. */
  readonly prepare?: (api: Async<Api>) => Promise<void>;
  readonly onDeath?: (error: AppError) => void;
  /** Silence that means death. A synchronous computation of the worker must stay below it. */
  readonly deadlineMs?: number;
  readonly heartbeatMs?: number;
  /** How long single methods may take, where a worker that lives may still not come to an end. */
  readonly deadlines?: Partial<Readonly<Record<keyof Api, number>>>;
  /** Methods of which one is done at a time, in the order of the calls. */
  readonly inTurn?: readonly (keyof Api)[];
  /** Makes room when memory was not given; those of `again` are then tried once more. */
  readonly makeRoom?: () => Promise<void>;
  readonly again?: readonly (keyof Api)[];
  /** A worker with nothing to do for so long is ended, where `mayRest` does not object. */
  readonly idleMs?: number;
  readonly mayRest?: () => boolean;
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** One life of a worker. */
interface Incarnation {
  readonly worker: WorkerLike;
  readonly remote: Comlink.Remote<Methods>;
  readonly ready: Promise<void>;
  readonly line: Lifeline;
  readonly kill: (error: AppError, silent?: boolean) => void;
  pending: number;
  supervised: boolean;
  idle: ReturnType<typeof setTimeout> | undefined;
  /** Callbacks that the worker may still call. */
  callbacks: number;
}

export class WorkerBridge<Api> {
  /** The worker's methods. Functions among the arguments are proxied. */
  readonly api: Async<Api>;
  /** May change with what the worker is at. */
  deadlineMs: number;
  readonly #options: BridgeOptions<Api>;
  #current: Incarnation | null = null;
  #closed = false;
  #line: Promise<unknown> = Promise.resolve();

  constructor(options: BridgeOptions<Api>) {
    this.#options = options;
    this.deadlineMs = options.deadlineMs ?? 30_000;
    this.api = facade<Api>((method, args) => this.#call(method, args));
  }

  get alive(): boolean {
    return this.#current !== null;
  }

  get busy(): boolean {
    return (this.#current?.pending ?? 0) > 0;
  }

  /** Callbacks that were handed over and not yet given back. */
  get openCallbacks(): number {
    return this.#current?.callbacks ?? 0;
  }

  /** Ends the worker; pending calls are rejected with the reason. */
  terminate(reason = 'It was closed.'): void {
    this.#current?.kill(died(this.#options.name, reason));
  }

  /** As `terminate`, and for good: no call starts it again. */
  close(): void {
    this.terminate();
    this.#closed = true;
  }

  /** Ends a worker that nobody waits for, so that the next call starts afresh. False where somebody does. */
  rest(): boolean {
    if (this.busy || this.#options.mayRest?.() === false) return false;
    this.#current?.kill(died(this.#options.name, 'It had nothing to do.'), true);
    return true;
  }

  async #call(method: string, all: readonly unknown[]): Promise<unknown> {
    const { inTurn, makeRoom, again } = this.#options;
    const last = all.at(-1);
    const signal = last instanceof AbortSignal ? last : null;
    const args = signal ? all.slice(0, -1) : all;
    const once = () => this.#once(method, args, signal);
    const work = async (): Promise<unknown> => {
      refuseAborted(signal);
      try {
        return await once();
      } catch (error) {
        if (!isMemoryError(error) || !makeRoom || !includes(again, method)) throw error;
        await makeRoom();
        return once();
      }
    };
    if (!includes(inTurn, method)) return work();
    const result = this.#line.then(work);
    this.#line = result.catch(() => undefined);
    return result;
  }

  async #once(
    method: string,
    args: readonly unknown[],
    signal: AbortSignal | null,
  ): Promise<unknown> {
    const life = this.#current ?? this.#start();
    life.pending++;
    clearTimeout(life.idle);
    if (!life.supervised) void this.#supervise(life);
    const overdue = this.#overdue(method);
    const cancel = (): void => {
      // The call itself then fails with what the worker says of it.
      void invoke(life, 'cancel', args.slice(0, 1)).catch(() => undefined);
    };
    try {
      await life.line.until(life.ready);
      refuseAborted(signal);
      const answer = invoke(life, method, args);
      signal?.addEventListener('abort', cancel);
      return await life.line.until(Promise.race([answer, overdue.passed]));
    } finally {
      overdue.clear();
      signal?.removeEventListener('abort', cancel);
      life.pending--;
      this.#watchIdle(life);
    }
  }

  #overdue(method: string): { readonly passed: Promise<never>; clear(): void } {
    const { name, deadlines } = this.#options;
    const milliseconds = (deadlines as Readonly<Record<string, number>> | undefined)?.[method];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const passed = new Promise<never>((_, reject) => {
      if (milliseconds === undefined) return;
      timer = setTimeout(() => {
        const seconds = Math.round(milliseconds / 1000);
        reject(
          new AppError(
            'worker/overdue',
            `The ${name} worker did not finish “${method}” within ${seconds} s. Try again.`,
            { worker: name, method },
          ),
        );
      }, milliseconds);
    });
    return { passed, clear: () => clearTimeout(timer) };
  }

  #watchIdle(life: Incarnation): void {
    const { idleMs } = this.#options;
    if (idleMs === undefined || life.pending > 0 || this.#current !== life) return;
    life.idle = setTimeout(() => {
      if (this.#current === life && !this.rest()) this.#watchIdle(life);
    }, idleMs);
  }

  #start(): Incarnation {
    const { name, start, prepare, onDeath } = this.#options;
    if (this.#closed) throw new AppError('worker/closed', `The ${name} worker was closed.`);
    const worker = start();
    const remote = Comlink.wrap<Methods>(worker);
    const line = new Lifeline();
    const kill = (error: AppError, silent = false): void => {
      if (this.#current !== life) return;
      this.#current = null;
      clearTimeout(life.idle);
      worker.terminate();
      // Comlink holds the worker until its proxy is collected, and the worker's listeners hold the proxy: for ever.
      remote[Comlink.releaseProxy]();
      line.cut(error);
      if (!silent) onDeath?.(error);
    };
    worker.addEventListener('error', (event) => {
      const detail = event instanceof ErrorEvent && event.message !== '' ? event.message : '';
      kill(died(name, detail === '' ? 'It could not be loaded, or it crashed.' : detail));
    });
    const life: Incarnation = {
      ...{ worker, remote, line, kill, callbacks: 0 },
      ...{ pending: 0, supervised: false, idle: undefined },
      ready: Promise.resolve().then(() =>
        prepare?.(facade<Api>((method, args) => invoke(life, method, args))),
      ),
    };
    life.ready.catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      kill(died(name, text, error));
    });
    this.#current = life;
    return life;
  }

  /** Beats while calls are pending, and kills a worker that is silent for longer than the deadline. */
  async #supervise(life: Incarnation): Promise<void> {
    const { name, heartbeatMs = 2_000 } = this.#options;
    life.supervised = true;
    while (this.#current === life && life.pending > 0) {
      // Asking for any property is answered as soon as the worker's event loop turns.
      const answer = life.line.until(Promise.resolve(life.remote['heartbeat'])).catch(() => null);
      const { deadlineMs } = this;
      // A page that slept wakes with its timers due and the answer still queued: so it gets a second chance.
      if (!(await within(answer, deadlineMs)) && !(await within(answer, heartbeatMs))) {
        life.kill(
          died(name, `It did not answer for ${Math.round(deadlineMs / 1000)} s and was ended.`),
        );
        return;
      }
      await pause(heartbeatMs);
    }
    life.supervised = false;
  }
}

function includes<Api>(names: readonly (keyof Api)[] | undefined, method: string): boolean {
  return names?.some((name) => name === method) === true;
}

function refuseAborted(signal: AbortSignal | null): void {
  if (signal?.aborted) throw new AppError('worker/cancelled', 'It was cancelled.');
}

/** An object whose every method calls `call`; never thenable, so that it can be awaited past. */
function facade<Api>(
  call: (method: string, args: readonly unknown[]) => Promise<unknown>,
): Async<Api> {
  const target = {};
  return new Proxy(target, {
    get: (_, method) =>
      typeof method === 'string' && method !== 'then'
        ? (...args: unknown[]) => call(method, args)
        : undefined,
  }) as Async<Api>;
}

type Callback = (...args: unknown[]) => unknown;

async function invoke(
  life: Incarnation,
  method: string,
  args: readonly unknown[],
): Promise<unknown> {
  life.line.throwIfCut();
  const sent = args.map((arg) => {
    if (typeof arg === 'function') return counted(life, arg as Callback);
    return arg instanceof MessagePort ? Comlink.transfer(arg, [arg]) : arg;
  });
  const target = life.remote[method];
  if (target === undefined) throw new AppError('internal/invariant', `No worker method ${method}.`);
  return target(...sent);
}

/** A proxy of the callback. The worker gives it back when the method has settled (workers/serve.ts). */
function counted(life: Incarnation, callback: Callback): Callback {
  life.callbacks++;
  const forward: Callback = (...args) => callback(...args);
  return Comlink.proxy(
    Object.assign(forward, {
      [Comlink.finalizer]: () => {
        life.callbacks--;
      },
    }),
  );
}

/** Marks `bytes` to be moved, not copied, into the worker. */
export function moved(bytes: ArrayBuffer): ArrayBuffer {
  return Comlink.transfer(bytes, [bytes]);
}

function died(name: string, reason: string, cause?: unknown): AppError {
  const told = cause instanceof AppError ? cause.code : null;
  return new AppError(
    'worker/died',
    `The ${name} worker stopped: ${reason} Try again; it starts anew.`,
    { worker: name, reason, told },
    cause,
  );
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Whether `work`, which never rejects, ends within so long. */
function within(work: Promise<unknown>, milliseconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), milliseconds);
    void work.then(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
