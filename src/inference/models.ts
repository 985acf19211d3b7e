/**
 * The last few models, read and opened, keyed by the hash of their file. A model that falls out is released, and
 * every call holds the model it uses: releasing waits for the calls that still run.
 */
import { readModel } from '../onnx/reader';
import type { ChunkRef } from '../protocol/entities';
import type { LoadedModel } from './predict';
import type { Runtime } from './runtime';

const MOST_MODELS = 4;

interface Entry {
  readonly model: Promise<LoadedModel>;
  users: number;
  evicted: boolean;
}

export class ModelCache {
  /** In order of last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #runtime: Runtime;
  readonly #load: (ref: ChunkRef) => Promise<ArrayBuffer>;

  constructor(runtime: Runtime, load: (ref: ChunkRef) => Promise<ArrayBuffer>) {
    this.#runtime = runtime;
    this.#load = load;
  }

  async use<T>(ref: ChunkRef, work: (model: LoadedModel) => Promise<T>): Promise<T> {
    const entry = this.#entry(ref);
    entry.users++;
    try {
      const model = await entry.model.catch((error: unknown) => {
        // A failure is not kept: the next call tries again.
        if (this.#entries.get(ref.sha256) === entry) this.#entries.delete(ref.sha256);
        throw error;
      });
      return await work(model);
    } finally {
      entry.users--;
      await this.#releaseIfIdle(entry);
    }
  }

  #entry(ref: ChunkRef): Entry {
    const known = this.#entries.get(ref.sha256);
    const entry = known ?? { model: this.#open(ref), users: 0, evicted: false };
    this.#entries.delete(ref.sha256);
    this.#entries.set(ref.sha256, entry);
    for (const [key, old] of this.#entries) {
      if (this.#entries.size <= MOST_MODELS) break;
      this.#entries.delete(key);
      old.evicted = true;
      void this.#releaseIfIdle(old);
    }
    return entry;
  }

  async #open(ref: ChunkRef): Promise<LoadedModel> {
    const file = new Uint8Array(await this.#load(ref));
    const graph = readModel(file);
    return { graph, session: await this.#runtime.open(file), bytes: file.byteLength };
  }

  async #releaseIfIdle(entry: Entry): Promise<void> {
    if (!entry.evicted || entry.users > 0) return;
    entry.evicted = false;
    // A model that did not open has nothing to release; the call that wanted it was told.
    const model = await entry.model.catch(() => null);
    await model?.session.release();
  }
}
