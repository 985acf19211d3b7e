/**
 * The page's four workers and the wires between them: the store is connected to each of the others, and batches
 * go from data to train over a channel of their own. The only file that makes a Worker. When the store dies, the
 * others hold ports that nobody answers, so they are ended with it and start again at the next call.
 */
import type { DataApi, InferApi, StoreApi, StoreStatus, TrainApi } from '../protocol/api';
import type { AppError } from '../core/errors';
import { WorkerBridge } from './bridge';
import type { Async } from './bridge';
import type { Exported } from '../protocol/backup';
import { unreadableRecord } from '../protocol/storage';
import type { HealthMessage, StoreMark, WhyClosed } from '../protocol/storage';
import { onHidden } from './page-life';
import { closedUnderUs, storeWorkerName, watchHealth } from './storage-health';

/** A training step on the reference executor, or a first compile, may hold the train worker for long. */
const TRAIN_DEADLINE_MS = 120_000;
/** Once steps run it is known how long they take, and silence means something much sooner. */
const STEPS_DEADLINE_MS = 15_000;
const STEPS_OF_SILENCE = 20;
/** A worker with nothing to do gives its memory back: a heap of WebAssembly never shrinks while it lives. */
const IDLE_MS = 5 * 60_000;
/** A training worker serves so many runs or steps; engines have died in very long ones. */
const MOST_RUNS = 20;
const MOST_STEPS = 200_000;
/** Asking what is stored or steering a run is a matter of milliseconds, on a slow disk of seconds. */
const SOON_MS = 60_000;

/** What the use cases need of the workers; tests give their own. */
export type WorkerSet = Pick<Workers, keyof Workers>;

export class Workers {
  readonly #store: WorkerBridge<StoreApi>;
  readonly #data: WorkerBridge<DataApi>;
  readonly #train: WorkerBridge<TrainApi>;
  readonly #infer: WorkerBridge<InferApi>;
  #status: StoreStatus | null = null;
  /** The storage does not open, or was closed under us; whoever shows it sets this. */
  onTrouble: (error: unknown) => void = () => undefined;
  /** The store was opened, and found this. */
  onOpened: (status: StoreStatus) => void = () => undefined;
  /** Something was saved in the databases that this page has open. */
  onSaved: (mark: StoreMark) => void = () => undefined;
  /** A record cannot be read; all else can. */
  onUnreadable: (error: AppError) => void = () => undefined;
  readonly #spent = { runs: 0, steps: 0 };

  constructor() {
    this.#store = new WorkerBridge<StoreApi>({
      name: 'store',
      start: startStore,
      prepare: async (api) => {
        try {
          this.#status = await api.open();
          this.onOpened(this.#status);
        } catch (error) {
          this.onTrouble(error);
          throw error;
        }
      },
      deadlines: { getRun: SOON_MS, listRuns: SOON_MS, getProject: SOON_MS, getSetting: SOON_MS },
      onDeath: () => {
        for (const dependent of [this.#data, this.#train, this.#infer])
          dependent.terminate('The store that it uses was restarted.');
      },
    });
    this.#data = new WorkerBridge<DataApi>({
      name: 'data',
      start: () =>
        new Worker(new URL('../../workers/data.worker.ts', import.meta.url), {
          type: 'module',
          name: 'data',
        }),
      prepare: async (api) => api.connectStore(await this.#storePort()),
      makeRoom: () => this.#rest(),
      again: ['summarise', 'inspect', 'prepare', 'readPart'],
      idleMs: IDLE_MS,
      // The batches of a run come over a port of their own, of which no call here tells.
      mayRest: () => !this.#train.busy,
      onDeath: () => {
        if (this.#train.busy) this.#train.terminate('The worker that read its rows stopped.');
      },
    });
    this.#train = new WorkerBridge<TrainApi>({
      name: 'training',
      start: () =>
        new Worker(new URL('../../workers/train.worker.ts', import.meta.url), {
          type: 'module',
          name: 'train',
        }),
      prepare: async (api) => api.connectStore(await this.#storePort()),
      deadlineMs: TRAIN_DEADLINE_MS,
      deadlines: { pause: SOON_MS, resume: SOON_MS, stop: SOON_MS },
      idleMs: IDLE_MS,
    });
    this.#infer = new WorkerBridge<InferApi>({
      name: 'inference',
      start: () =>
        new Worker(new URL('../../workers/infer.worker.ts', import.meta.url), {
          type: 'module',
          name: 'infer',
        }),
      prepare: async (api) => api.connectStore(await this.#storePort()),
      deadlineMs: TRAIN_DEADLINE_MS,
      // Each holds a model and its values: side by side they would need the memory of all.
      inTurn: ['evaluate', 'importance', 'quantise', 'predictTable'],
      makeRoom: () => this.#rest(),
      again: ['predict', 'evaluate', 'importance', 'quantise', 'predictTable', 'openGraph'],
      idleMs: IDLE_MS,
    });
    onHidden(() => void this.#rest());
    watchHealth((message) => this.#hear(message));
  }

  get store(): Async<StoreApi> {
    return this.#store.api;
  }

  get data(): Async<DataApi> {
    return this.#data.api;
  }

  get train(): Async<TrainApi> {
    const { runs, steps } = this.#spent;
    // Between runs only: it rests where nobody waits for it.
    if ((runs >= MOST_RUNS || steps >= MOST_STEPS) && this.#train.rest()) this.#forget();
    return this.#train.api;
  }

  get infer(): Async<InferApi> {
    return this.#infer.api;
  }

  /** What the store found when it was opened; opens it if need be. */
  async storeStatus(): Promise<StoreStatus> {
    await this.store.usage();
    if (this.#status === null) throw new Error('The store answered before it was opened.');
    return this.#status;
  }

  /** Tells every worker that may be carrying out this call; starts none. */
  async cancel(callId: string): Promise<void> {
    const told = [
      this.#data.alive ? this.data.cancel(callId) : undefined,
      this.#infer.alive ? this.infer.cancel(callId) : undefined,
      this.#store.alive ? this.store.cancelArchive(callId) : undefined,
    ];
    await Promise.all(told);
  }

  /** A fresh training worker and device for the next call, after a device was lost. */
  restartTraining(reason: string): void {
    this.#train.terminate(reason);
    this.#forget();
  }

  /** How long the steps of the run under way take; null while something else is done, such as compiling. */
  expectSteps(milliseconds: number | null): void {
    this.#train.deadlineMs =
      milliseconds === null
        ? TRAIN_DEADLINE_MS
        : Math.min(TRAIN_DEADLINE_MS, Math.max(STEPS_DEADLINE_MS, milliseconds * STEPS_OF_SILENCE));
  }

  /** A run has ended after so many steps. */
  trained(steps: number): void {
    this.expectSteps(null);
    this.#spent.runs++;
    this.#spent.steps += steps;
  }

  /** The end, as that of the page would be. */
  terminate(): void {
    for (const bridge of [this.#train, this.#infer, this.#data, this.#store]) bridge.close();
  }

  #hear(message: HealthMessage): void {
    switch (message.type) {
      case 'closed':
        void this.#checkStore(message.why);
        break;
      case 'saved':
        // Another tab may have other databases, begun anew beside these.
        if (message.mark.incarnation === this.#status?.mark?.incarnation)
          this.onSaved(message.mark);
        break;
      case 'unreadable':
        this.onUnreadable(unreadableRecord(message.record));
    }
  }

  /** Some tab's database was closed: is it ours too? */
  async #checkStore(why: WhyClosed): Promise<void> {
    if (!this.#store.alive) return;
    try {
      await this.store.getSetting('');
    } catch (error) {
      this.onTrouble(closedUnderUs(why, error));
    }
  }

  /** What can be read of a storage that does not open, by a worker that does not try to. */
  async salvage(): Promise<Exported> {
    const bridge = new WorkerBridge<StoreApi>({ name: 'rescue', start: startStore });
    try {
      return await bridge.api.salvage(() => undefined);
    } finally {
      bridge.close();
    }
  }

  /** Ends the store's worker with all that hang on it; the next call opens the storage anew. */
  reopenStore(): void {
    this.#store.terminate('The storage is opened anew.');
  }

  /** Ends whoever may have rows or models in memory. A run that goes on keeps the two workers that it needs. */
  forgetData(): void {
    const reason = 'A project was locked.';
    this.#infer.terminate(reason);
    if (this.#train.busy) return;
    this.#data.terminate(reason);
    this.restartTraining(reason);
  }

  #forget(): void {
    this.#spent.runs = 0;
    this.#spent.steps = 0;
    this.expectSteps(null);
  }

  /** Ends whoever has nothing to do, with everything that it kept to be quick. */
  #rest(): Promise<void> {
    for (const bridge of [this.#infer, this.#data, this.#train]) if (bridge.alive) bridge.rest();
    return Promise.resolve();
  }

  async #storePort(): Promise<MessagePort> {
    const { port1, port2 } = new MessageChannel();
    await this.store.connect(port1);
    return port2;
  }
}

function startStore(): Worker {
  return new Worker(new URL('../../workers/store.worker.ts', import.meta.url), {
    type: 'module',
    name: storeWorkerName(),
  });
}
