/** What the next run would take of memory, told anew when a setting changes that it depends on. */
import type { MemoryEstimate } from '../protocol/api';
import type { Project } from '../protocol/entities';
import type { Studio } from './studio';

export class Forecast {
  readonly #studio: Pick<Studio, 'forecastMemory'>;
  #estimate = $state.raw<MemoryEstimate | null>(null);
  #error = $state.raw<unknown>(null);
  #shown = '';
  #wanted: Project | null = null;
  #asking = false;

  constructor(studio: Pick<Studio, 'forecastMemory'>) {
    this.#studio = studio;
  }

  /** null while nothing can be told: settings are missing, or this computer has not been measured. */
  get estimate(): MemoryEstimate | null {
    return this.#estimate;
  }

  get error(): unknown {
    return this.#error;
  }

  /** One question at a time; of those that come meanwhile only the last is asked. */
  async look(project: Project): Promise<void> {
    this.#wanted = project;
    if (this.#asking) return;
    this.#asking = true;
    try {
      for (let next = this.#take(); next !== null; next = this.#take()) await this.#ask(next);
    } finally {
      this.#asking = false;
    }
  }

  #take(): Project | null {
    const next = this.#wanted;
    this.#wanted = null;
    return next;
  }

  async #ask(project: Project): Promise<void> {
    const { datasetId, target, task, recipe, split, blueprint, training, seed, executor } = project;
    const known = [datasetId, target, task, recipe, split, blueprint, training, seed, executor];
    const key = JSON.stringify(known);
    if (key === this.#shown) return;
    const complete = [datasetId, target, task, blueprint, training].every((part) => part !== null);
    try {
      this.#estimate = complete ? await this.#studio.forecastMemory(project) : null;
      this.#error = null;
      // Once this computer is measured the same settings have an answer.
      this.#shown = this.#estimate === null ? '' : key;
    } catch (error) {
      this.#estimate = null;
      this.#error = error;
      this.#shown = key;
    }
  }
}
