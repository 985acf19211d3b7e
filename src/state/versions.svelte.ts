/** What the Versions screen does: which node is looked at, which two are compared, and every change to a version. */
import { AppError } from '../core/errors';
import type { Progress } from '../protocol/api';
import type { Evaluation, Id, ModelVersion, PairedComparison, Stage } from '../protocol/entities';
import { chosenModel } from './chosen-model.svelte';
import { evaluationOf } from './model-choice';
import type { OpenProject } from './project.svelte';
import { ancestry, layOutRiver, nodeId, type RiverNode } from './river';

export interface Comparison {
  readonly a: ModelVersion;
  readonly b: ModelVersion;
  /** Evaluations on one part of the same data, where both have one. */
  readonly on: { readonly a: Evaluation; readonly b: Evaluation } | null;
  readonly paired: PairedComparison | null;
  /** Why the two are only set side by side; empty where they were never judged on the same part. */
  readonly refused: string;
}

export class Versions {
  readonly #project: OpenProject;
  #selected = $state<string | null>(null);
  #pins = $state.raw<readonly Id[]>([]);
  #comparison = $state.raw<Comparison | null>(null);
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  #callId: string | null = null;
  readonly #river = $derived.by(() => {
    const { records, runs, current } = this.#project;
    const { models, evaluations } = records;
    return layOutRiver({ project: current, models, evaluations, runs: runs.list });
  });
  readonly #lit = $derived.by(() => ancestry(this.#river, this.node?.id ?? null));

  constructor(project: OpenProject) {
    this.#project = project;
  }

  get river() {
    return this.#river;
  }

  /** The node looked at and all that it came from. */
  get lit() {
    return this.#lit;
  }

  /** The node looked at; at first the first model. */
  get node(): RiverNode | null {
    const { nodes } = this.#river;
    return (
      nodes.find(({ id }) => id === this.#selected) ??
      nodes.find(({ kind }) => kind === 'model') ??
      null
    );
  }

  get pins(): readonly Id[] {
    return this.#pins;
  }

  get comparison(): Comparison | null {
    return this.#comparison;
  }

  /** A model being judged. */
  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): unknown {
    return this.#error;
  }

  select(id: string): void {
    this.#selected = id;
    const model = this.model(this.node?.recordId ?? '');
    if (model) chosenModel(this.#project).id = model.id;
  }

  selectModel(model: ModelVersion): void {
    this.select(nodeId(model.parentId === null ? 'model' : 'copy', model.id));
  }

  model(id: Id): ModelVersion | null {
    return this.#project.records.models.find((model) => model.id === id) ?? null;
  }

  /** Pins a model, or lets it go; a third takes the place of the first. */
  async togglePin(id: Id): Promise<void> {
    this.#pins = this.#pins.includes(id)
      ? this.#pins.filter((pin) => pin !== id)
      : [...this.#pins.slice(-1), id];
    await this.#compare();
  }

  rename(id: Id, name: string): Promise<void> {
    return this.#change((store) => store.renameModel(id, name));
  }

  setStage(id: Id, stage: Stage): Promise<void> {
    return this.#change((store) => store.setStage(id, stage));
  }

  async trash(id: Id): Promise<void> {
    await this.#change((store) => store.trashModel(id));
    if (this.#pins.includes(id)) await this.togglePin(id);
  }

  restore(id: Id): Promise<void> {
    return this.#change((store) => store.restoreModel(id));
  }

  /** Judges models on the checking part, which can be asked as often as one likes. */
  async judge(ids: readonly Id[], label: string): Promise<void> {
    if (this.#callId !== null) return;
    const callId = crypto.randomUUID();
    this.#callId = callId;
    this.#error = null;
    this.#progress = { label };
    try {
      for (const id of ids) {
        if (this.#callId !== callId) return;
        await this.#project.studio.evaluate(callId, id, 'validation', (progress) => {
          if (this.#callId === callId) this.#progress = progress;
        });
      }
    } catch (error) {
      if (this.#callId === callId) this.#error = error;
    } finally {
      if (this.#callId === callId) {
        this.#callId = null;
        this.#progress = null;
      }
      await this.#project.records.loadEvaluations();
      await this.#compare();
    }
  }

  cancel(): void {
    const callId = this.#callId;
    if (callId === null) return;
    this.#callId = null;
    this.#progress = null;
    this.#project.studio.cancel(callId).catch((error: unknown) => (this.#error = error));
  }

  async #change(
    work: (store: OpenProject['studio']['store']) => Promise<ModelVersion>,
  ): Promise<void> {
    await work(this.#project.studio.store);
    await this.#project.records.loadModels();
  }

  async #compare(): Promise<void> {
    const pins = this.#pins;
    const [a, b] = pins.map((id) => this.model(id));
    if (!a || !b) {
      this.#comparison = null;
      return;
    }
    const on = samePart(a.id, b.id, this.#project.records.evaluations);
    const plain: Comparison = { a, b, on, paired: null, refused: '' };
    this.#comparison = plain;
    if (!on) return;
    const compared = await this.#paired(plain, on);
    if (this.#pins === pins) this.#comparison = compared;
  }

  async #paired(plain: Comparison, on: NonNullable<Comparison['on']>): Promise<Comparison> {
    const { store, infer } = this.#project.studio;
    try {
      const [before, after] = await Promise.all([
        store.getPredictions(on.a.id),
        store.getPredictions(on.b.id),
      ]);
      const paired = await infer.compare(before, after, plain.a.signature.task);
      return { ...plain, paired };
    } catch (error) {
      // Other rows, or predictions that a project file left out: the two still stand side by side.
      if (!(error instanceof AppError)) throw error;
      return { ...plain, refused: error.message };
    }
  }
}

/** Evaluations of both on one part of the same data: the sealed part where both were judged on it. */
function samePart(
  a: Id,
  b: Id,
  evaluations: readonly Evaluation[],
): { readonly a: Evaluation; readonly b: Evaluation } | null {
  for (const part of ['test', 'validation', 'all'] as const) {
    const first = evaluationOf(a, evaluations, [part]);
    const second = evaluationOf(b, evaluations, [part]);
    if (first && second && first.datasetId === second.datasetId) return { a: first, b: second };
  }
  return null;
}
