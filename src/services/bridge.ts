/**
 * The one bridge between the page and a worker. It starts the worker at the first call, forwards calls over
 * Comlink with callbacks proxied, and supervises: Comlink's promises hang for ever when a worker dies, so while
 * calls are pending the worker must answer a heartbeat. A dead worker rejects every pending call with
 * `worker/died`, and the next call starts a new one. What a worker does is not its business.
 */
import * as Comlink from 'comlink';
import { AppError } from '../core/errors';
import { installErrorCodec } from '../protocol/errors';

installErrorCodec(Comlink.transferHandlers);

/** `Api` as the page sees it: every method asynchronous. */
export type Async<Api> = {
  readonly [Name in keyof Api]: Api[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
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
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** One life of a worker. */
interface Incarnation {
  readonly worker: WorkerLike;
  readonly remote: Comlink.Remote<Methods>;
  readonly ready: Promise<void>;
  /** Rejects every call still waiting. */
  readonly died: Promise<never>;
  readonly kill: (error: AppError) => void;
  pending: number;
}

export class WorkerBridge<Api> {
  /** The worker's methods. Functions among the arguments are proxied. */
  readonly api: Async<Api>;
  readonly #options: BridgeOptions<Api>;
  #current: Incarnation | null = null;

  constructor(options: BridgeOptions<Api>) {
    this.#options = options;
    this.api = facade<Api>((method, args) => this.#call(method, args));
  }

  get alive(): boolean {
    return this.#current !== null;
  }

  /** Ends the worker; pending calls are rejected with the reason. */
  terminate(reason = 'It was closed.'): void {
    this.#current?.kill(died(this.#options.name, reason));
  }

  async #call(method: string, args: readonly unknown[]): Promise<unknown> {
    const life = this.#current ?? this.#start();
    life.pending++;
    if (life.pending === 1) void this.#supervise(life);
    try {
      await Promise.race([life.ready, life.died]);
      return await Promise.race([invoke(life.remote, method, args), life.died]);
    } finally {
      life.pending--;
    }
  }

  #start(): Incarnation {
    const { name, start, prepare, onDeath } = this.#options;
    const worker = start();
    const remote = Comlink.wrap<Methods>(worker);
    let reject: (error: AppError) => void = () => undefined;
    const deathOf = new Promise<never>((_, no) => (reject = no));
    // Nobody may be waiting at the moment of death; each call that is gets the rejection by its own race.
    deathOf.catch(() => undefined);
    const kill = (error: AppError): void => {
      if (this.#current !== life) return;
      this.#current = null;
      worker.terminate();
      reject(error);
      onDeath?.(error);
    };
    worker.addEventListener('error', (event) => {
      const detail = event instanceof ErrorEvent && event.message !== '' ? event.message : '';
      kill(died(name, detail === '' ? 'It could not be loaded, or it crashed.' : detail));
    });
    const direct = facade<Api>((method, args) => invoke(remote, method, args));
    const ready = Promise.resolve(prepare?.(direct));
    const life: Incarnation = { worker, remote, ready, died: deathOf, kill, pending: 0 };
    ready.catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error);
      kill(died(name, text, error));
    });
    this.#current = life;
    return life;
  }

  /** Beats while calls are pending, and kills a worker that is silent for longer than the deadline. */
  async #supervise(life: Incarnation): Promise<void> {
    const { name, deadlineMs = 30_000, heartbeatMs = 2_000 } = this.#options;
    while (this.#current === life && life.pending > 0) {
      // Asking for any property is answered as soon as the worker's event loop turns.
      const answer = Promise.race([life.remote['heartbeat'], life.died]).then(
        () => true,
        () => true,
      );
      // A page that slept wakes with its timers due and the answer still queued: so it gets a second chance.
      const heard =
        (await Promise.race([answer, pause(deadlineMs)])) ??
        (await Promise.race([answer, pause(heartbeatMs)]));
      if (heard === undefined) {
        life.kill(
          died(name, `It did not answer for ${Math.round(deadlineMs / 1000)} s and was ended.`),
        );
        return;
      }
      await pause(heartbeatMs);
    }
  }
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

function invoke(
  remote: Comlink.Remote<Methods>,
  method: string,
  args: readonly unknown[],
): Promise<unknown> {
  const sent = args.map((arg) => {
    if (typeof arg === 'function') return Comlink.proxy(arg);
    return arg instanceof MessagePort ? Comlink.transfer(arg, [arg]) : arg;
  });
  const target = remote[method];
  if (target === undefined) throw new AppError('internal/invariant', `No worker method ${method}.`);
  return Promise.resolve(target(...sent));
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

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), milliseconds));
}
