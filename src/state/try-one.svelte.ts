/**
 * One answer, live: the inputs as they stand now go to the chosen model and to its companion (int8 beside float).
 * While an answer is on its way newer inputs replace older ones, so the bars never lag behind the hand.
 */
import type { RawPart } from '../protocol/api';
import type { ModelVersion } from '../protocol/entities';
import type { Studio } from './studio';

export type ModelInputs = RawPart['inputs'];

export interface Answer {
  readonly model: ModelVersion;
  /** Classification: one share a class; regression: the one value. */
  readonly values: readonly number[];
  readonly milliseconds: number;
}

export class TryOne {
  readonly #studio: Studio;
  readonly #models: readonly ModelVersion[];
  #answers = $state.raw<readonly Answer[]>([]);
  #error = $state.raw<unknown>(null);
  #inputs: ModelInputs | null = null;
  #asked: ModelInputs | null = null;
  /** Not reactive: an effect that asks must not run again because it was answered. */
  #busy = false;

  /** The model to ask, then the one beside it, if any. */
  constructor(studio: Studio, models: readonly ModelVersion[]) {
    this.#studio = studio;
    this.#models = models;
  }

  /** In the order of the models; empty while nothing is asked. */
  get answers(): readonly Answer[] {
    return this.#answers;
  }

  get error(): unknown {
    return this.#error;
  }

  /** An answer is on its way. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Null for an empty drawing: there is nothing to answer. */
  ask(inputs: ModelInputs | null): void {
    this.#inputs = inputs;
    if (inputs === null) this.#answers = [];
    if (!this.#busy) void this.#answer();
  }

  async #answer(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#inputs !== this.#asked) {
        const inputs = this.#inputs;
        this.#asked = inputs;
        if (inputs === null) continue;
        const answers: Answer[] = [];
        for (const model of this.#models) answers.push(await this.#predict(model, inputs));
        // Cleared while it was on its way.
        if (this.#inputs !== null) this.#answers = answers;
        this.#error = null;
      }
    } catch (error) {
      this.#error = error;
    } finally {
      this.#busy = false;
    }
  }

  async #predict(model: ModelVersion, inputs: ModelInputs): Promise<Answer> {
    const { values, milliseconds } = await this.#studio.infer.predict(model.file, inputs);
    const { task, classes } = model.signature;
    // One column for two classes is the second one's probability.
    const [only = 0] = values;
    const shares =
      task === 'classification' && values.length === 1 && classes.length === 2
        ? [1 - only, only]
        : [...values];
    return { model, values: shares, milliseconds };
  }
}
