/** A whole table without its target, given back with predictions: the step under way, the answer, and what was odd. */
import type { Progress } from '../protocol/api';
import type { Id } from '../protocol/entities';
import type { Studio } from './studio';

export interface AnsweredFile {
  /** "birds.csv" becomes "birds-predicted.csv". */
  readonly name: string;
  readonly csv: ArrayBuffer;
  readonly rows: number;
  readonly findings: readonly string[];
}

export class WholeFile {
  readonly #studio: Studio;
  #progress = $state.raw<Progress | null>(null);
  #answer = $state.raw<AnsweredFile | null>(null);
  #error = $state.raw<unknown>(null);
  #callId: string | null = null;

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  get answer(): AnsweredFile | null {
    return this.#answer;
  }

  get error(): unknown {
    return this.#error;
  }

  dismissError(): void {
    this.#error = null;
  }

  async predict(modelId: Id, file: File, reading: string): Promise<void> {
    if (this.#callId !== null) return;
    const callId = crypto.randomUUID();
    this.#callId = callId;
    this.#error = null;
    this.#answer = null;
    this.#progress = { label: reading };
    try {
      const { csv, rows, findings } = await this.#studio.predictTable(
        callId,
        modelId,
        file,
        (progress) => {
          if (this.#callId === callId) this.#progress = progress;
        },
      );
      if (this.#callId !== callId) return;
      const name = `${file.name.replace(/\.[^.]+$/, '')}-predicted.csv`;
      this.#answer = { name, csv, rows, findings };
    } catch (error) {
      if (this.#callId === callId) this.#error = error;
    } finally {
      if (this.#callId === callId) {
        this.#callId = null;
        this.#progress = null;
      }
    }
  }

  cancel(): void {
    const callId = this.#callId;
    if (callId === null) return;
    this.#callId = null;
    this.#progress = null;
    this.#studio.cancel(callId).catch((error: unknown) => (this.#error = error));
  }
}
