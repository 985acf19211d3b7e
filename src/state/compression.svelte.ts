/**
 * Making int8 copies and judging what they lost: on the checking part, row by row against the model they came from.
 * One for each open project, so that it goes on while the person looks at another screen.
 */
import type { Progress } from '../protocol/api';
import type { Evaluation, Id, ModelVersion, PairedComparison } from '../protocol/entities';
import { evaluationOf, isQuantised } from './model-choice';
import type { OpenProject } from './project.svelte';

export type Mode = 'int8-dynamic' | 'int8-static';

export interface Copy {
  readonly model: ModelVersion;
  readonly evaluation: Evaluation | null;
  /** Loss against the parent on the same rows; null until both are judged. */
  readonly lost: PairedComparison | null;
  readonly notes: readonly string[];
}

const made = new WeakMap<OpenProject, Compression>();

export function compressionOf(project: OpenProject): Compression {
  let compression = made.get(project);
  if (!compression) made.set(project, (compression = new Compression(project)));
  return compression;
}

export class Compression {
  readonly #project: OpenProject;
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  /** By model: notes of the quantiser, and losses by the pair of evaluations that they were counted on. */
  #notes = $state.raw<Readonly<Record<Id, readonly string[]>>>({});
  #losses = $state.raw<Readonly<Record<string, PairedComparison>>>({});
  #callId: string | null = null;

  constructor(project: OpenProject) {
    this.#project = project;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): unknown {
    return this.#error;
  }

  dismissError(): void {
    this.#error = null;
  }

  judged(id: Id): Evaluation | null {
    return evaluationOf(id, this.#project.records.evaluations, ['validation']);
  }

  /** The int8 copies of a model, oldest first. */
  copiesOf(parent: ModelVersion): readonly Copy[] {
    const before = this.judged(parent.id);
    return this.#project.records.models
      .filter((model) => model.parentId === parent.id && isQuantised(model))
      .map((model) => {
        const evaluation = this.judged(model.id);
        const lost = before && evaluation ? this.#losses[pair(before, evaluation)] : undefined;
        return { model, evaluation, lost: lost ?? null, notes: this.#notes[model.id] ?? [] };
      });
  }

  /** `judging` words the step after: "Judging Run 1". */
  run(parent: ModelVersion, mode: Mode, judging: (name: string) => string): Promise<void> {
    return this.#call(async (callId, say) => {
      const { studio, records } = this.#project;
      const { model, notes } = await studio.compress(callId, parent.id, mode, say);
      this.#notes = { ...this.#notes, [model.id]: notes };
      await records.loadModels();
      if (this.#callId === callId) await this.#judge(callId, [parent, model], judging, say);
    });
  }

  /** Judges a copy, and its parent where need be, that was made elsewhere or cancelled half-way. */
  judge(models: readonly ModelVersion[], judging: (name: string) => string): Promise<void> {
    return this.#call((callId, say) => this.#judge(callId, models, judging, say));
  }

  /** Counts the losses that are not counted yet, from predictions that are kept. */
  async count(parent: ModelVersion): Promise<void> {
    const before = this.judged(parent.id);
    if (!before) return;
    for (const { evaluation, lost } of this.copiesOf(parent)) {
      if (!evaluation || lost) continue;
      try {
        const { store, infer } = this.#project.studio;
        const [a, b] = await Promise.all([
          store.getPredictions(before.id),
          store.getPredictions(evaluation.id),
        ]);
        const loss = await infer.compare(a, b, parent.signature.task);
        this.#losses = { ...this.#losses, [pair(before, evaluation)]: loss };
      } catch (error) {
        this.#error = error;
        return;
      }
    }
  }

  /** What is made by then is kept. */
  cancel(): void {
    const callId = this.#callId;
    if (callId === null) return;
    this.#callId = null;
    this.#progress = null;
    this.#project.studio.cancel(callId).catch((error: unknown) => (this.#error = error));
  }

  async #judge(
    callId: string,
    models: readonly ModelVersion[],
    judging: (name: string) => string,
    say: (progress: Progress) => void,
  ): Promise<void> {
    const { studio, records } = this.#project;
    for (const model of models) {
      if (this.#callId !== callId || this.judged(model.id) || !model.recipe) continue;
      say({ label: judging(model.name) });
      await studio.evaluate(callId, model.id, 'validation', say);
      await records.loadEvaluations();
    }
  }

  async #call(
    work: (callId: string, say: (progress: Progress) => void) => Promise<void>,
  ): Promise<void> {
    if (this.#callId !== null) return;
    const callId = crypto.randomUUID();
    this.#callId = callId;
    this.#error = null;
    try {
      await work(callId, (progress) => {
        if (this.#callId === callId) this.#progress = progress;
      });
    } catch (error) {
      if (this.#callId === callId) this.#error = error;
    } finally {
      if (this.#callId === callId) {
        this.#callId = null;
        this.#progress = null;
      }
    }
  }
}

function pair(before: Evaluation, after: Evaluation): string {
  return `${before.id} ${after.id}`;
}
