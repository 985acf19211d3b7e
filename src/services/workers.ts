/**
 * The page's four workers and the wires between them: the store is connected to each of the others, and batches
 * go from data to train over a channel of their own. The only file that makes a Worker. When the store dies, the
 * others hold ports that nobody answers, so they are ended with it and start again at the next call.
 */
import type { DataApi, InferApi, StoreApi, StoreStatus, TrainApi } from '../protocol/api';
import { WorkerBridge } from './bridge';
import type { Async } from './bridge';

/** A training step on the reference executor, or a first compile, may hold the train worker for long. */
const TRAIN_DEADLINE_MS = 120_000;

/** What the use cases need of the workers; tests give their own. */
export type WorkerSet = Pick<Workers, keyof Workers>;

export class Workers {
  readonly #store: WorkerBridge<StoreApi>;
  readonly #data: WorkerBridge<DataApi>;
  readonly #train: WorkerBridge<TrainApi>;
  readonly #infer: WorkerBridge<InferApi>;
  #status: StoreStatus | null = null;

  constructor() {
    this.#store = new WorkerBridge<StoreApi>({
      name: 'store',
      start: () =>
        new Worker(new URL('../../workers/store.worker.ts', import.meta.url), {
          type: 'module',
          name: 'store',
        }),
      prepare: async (api) => {
        this.#status = await api.open();
      },
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
    });
  }

  get store(): Async<StoreApi> {
    return this.#store.api;
  }

  get data(): Async<DataApi> {
    return this.#data.api;
  }

  get train(): Async<TrainApi> {
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
    ];
    await Promise.all(told);
  }

  /** A fresh training worker and device for the next call, after a device was lost. */
  restartTraining(reason: string): void {
    this.#train.terminate(reason);
  }

  terminate(): void {
    for (const bridge of [this.#train, this.#infer, this.#data, this.#store]) bridge.terminate();
  }

  async #storePort(): Promise<MessagePort> {
    const { port1, port2 } = new MessageChannel();
    await this.store.connect(port1);
    return port2;
  }
}
