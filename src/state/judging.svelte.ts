/**
 * The Evaluate screen's own state: which model is judged on which part, the figures and predictions found, and what
 * the model looks at. The checking part may be judged freely; the sealed test part only on the person's word, counted
 * once however many models are judged by that opening.
 */
import type { Progress } from '../protocol/api';
import type {
  Evaluation,
  Id,
  ImportanceReport,
  ModelVersion,
  PredictionRow,
  Run,
  RunConfig,
} from '../protocol/entities';
import type { OpenProject } from './project.svelte';
import { isRuleBaseline } from './run-facts';
import { sameQuestion } from './training.svelte';

export type JudgedPart = 'validation' | 'test';

/** Earlier versions shown beside the model. */
const EARLIER = 4;

export interface Contender {
  readonly model: ModelVersion;
  readonly role: 'model' | 'rule' | 'linear' | 'earlier';
  readonly evaluation: Evaluation;
}

export class Judging {
  readonly #project: OpenProject;
  #chosen = $state<Id | null>(null);
  #part = $state<JudgedPart>('validation');
  #progress = $state.raw<Progress | null>(null);
  #judging = $state<Id | null>(null);
  #error = $state.raw<unknown>(null);
  #sealedRows = $state<number | null>(null);
  #predictions = $state.raw<{ id: Id; rows: readonly PredictionRow[] } | null>(null);
  #importance = $state.raw<{ id: Id; report: ImportanceReport } | null>(null);
  #importanceProgress = $state.raw<Progress | null>(null);
  #importanceError = $state.raw<unknown>(null);
  #callId: string | null = null;

  constructor(project: OpenProject) {
    this.#project = project;
  }

  /** Models that know how their inputs are made from columns, baselines left out; the newest first. */
  get models(): readonly ModelVersion[] {
    const { records } = this.#project;
    return records.models
      .filter((model) => model.recipe !== null && this.#runOf(model)?.role !== 'baseline')
      .toReversed();
  }

  get model(): ModelVersion | null {
    return this.models.find((model) => model.id === this.#chosen) ?? this.models[0] ?? null;
  }

  choose(id: Id): void {
    this.#chosen = id;
    if (!this.evaluationOf(id, this.#part)) this.#part = 'validation';
  }

  get part(): JudgedPart {
    return this.#part;
  }

  show(part: JudgedPart): void {
    this.#part = part;
  }

  /** Rows behind the seal, once counted. */
  get sealedRows(): number | null {
    return this.#sealedRows;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  /** The model that is being judged now. */
  get judging(): Id | null {
    return this.#judging;
  }

  get busy(): boolean {
    return this.#judging !== null;
  }

  get error(): unknown {
    return this.#error;
  }

  dismissError(): void {
    this.#error = null;
  }

  /** The newest judgement of a model on a part. */
  evaluationOf(id: Id, part: JudgedPart): Evaluation | null {
    const found = this.#project.records.evaluations.findLast(
      (evaluation) => evaluation.modelVersionId === id && evaluation.part === part,
    );
    return found ?? null;
  }

  get evaluation(): Evaluation | null {
    return this.model ? this.evaluationOf(this.model.id, this.#part) : null;
  }

  get predictions(): readonly PredictionRow[] {
    const kept = this.#predictions;
    return kept && kept.id === this.evaluation?.id ? kept.rows : [];
  }

  /** The model, its baselines, and earlier versions, as far as they are judged on this part. */
  get contenders(): readonly Contender[] {
    return this.#field().flatMap(({ model, role }) => {
      const evaluation = this.evaluationOf(model.id, this.#part);
      return evaluation ? [{ model, role, evaluation }] : [];
    });
  }

  get importance(): ImportanceReport | null {
    return this.#importance?.id === this.model?.id ? (this.#importance?.report ?? null) : null;
  }

  get importanceProgress(): Progress | null {
    return this.#importanceProgress;
  }

  get importanceError(): unknown {
    return this.#importanceError;
  }

  /** Judges the model and what it is compared with on the checking part, where that was not done yet. */
  async check(): Promise<void> {
    // In a tab that looks on, what the other tab judges appears by itself.
    if (!this.#project.canEdit) return;
    const waiting = this.#field().filter(({ model }) => !this.evaluationOf(model.id, 'validation'));
    if (waiting.length > 0) await this.#judge('validation', waiting);
  }

  /** Opens the sealed part: counted first, then the model is judged, and its baselines with it. */
  async open(): Promise<void> {
    if (this.busy) return;
    const { studio } = this.#project;
    this.#error = null;
    try {
      await this.#project.settled();
      this.#project.accept(await studio.store.openTest(this.#project.current.id));
    } catch (error) {
      this.#error = error;
      return;
    }
    const field = this.#field().filter(
      ({ model, role }) => role === 'model' || !this.evaluationOf(model.id, 'test'),
    );
    await this.#judge('test', field);
  }

  async cancel(): Promise<void> {
    const callId = this.#callId;
    this.#callId = null;
    if (callId !== null) await this.#project.studio.cancel(callId);
  }

  async countSealed(): Promise<void> {
    const config = this.#project.studio.runConfig(this.#project.current);
    const { parts } = await this.#project.studio.data.inspect(config);
    this.#sealedRows = parts.test;
  }

  async loadPredictions(evaluation: Evaluation): Promise<void> {
    if (this.#predictions?.id === evaluation.id) return;
    const rows = await this.#project.studio.store.getPredictions(evaluation.id);
    this.#predictions = { id: evaluation.id, rows };
  }

  /** What the model looks at: one column shuffled at a time, on the checking part. */
  async explain(): Promise<void> {
    const { model } = this;
    const { studio } = this.#project;
    const config = model && this.#configOf(model);
    if (!model?.recipe || !config || this.#importanceProgress || this.importance) return;
    const callId = crypto.randomUUID();
    this.#importanceError = null;
    this.#importanceProgress = { label: '' };
    try {
      const rows = await studio.data.readPart(config, model.recipe, 'validation', {
        unsealed: false,
      });
      const report = await studio.infer.importance(
        callId,
        model.file,
        model.recipe,
        rows,
        config.seed,
        (progress) => (this.#importanceProgress = progress),
      );
      this.#importance = { id: model.id, report };
    } catch (error) {
      this.#importanceError = error;
    } finally {
      this.#importanceProgress = null;
    }
  }

  async #judge(
    part: JudgedPart,
    field: readonly { readonly model: ModelVersion }[],
  ): Promise<void> {
    if (this.busy) return;
    const callId = crypto.randomUUID();
    const { studio, records } = this.#project;
    this.#callId = callId;
    this.#error = null;
    try {
      for (const { model } of field) {
        if (this.#callId !== callId) break;
        const config = this.#configOf(model);
        if (!model.recipe || !config) continue;
        this.#judging = model.id;
        const unsealed = part === 'test';
        const rows = await studio.data.readPart(config, model.recipe, part, { unsealed });
        const say = (progress: Progress): void => {
          if (this.#callId === callId) this.#progress = progress;
        };
        await studio.evaluate(callId, model.id, part, say, rows);
        await records.loadEvaluations();
        if (model.id === this.model?.id) this.#part = part;
      }
    } catch (error) {
      // Cancelled by the person: what is judged so far stays.
      if (this.#callId === callId) this.#error = error;
    } finally {
      this.#judging = null;
      this.#progress = null;
      this.#callId = null;
    }
  }

  /** The model first, then what it is held against. */
  #field(): { readonly model: ModelVersion; readonly role: Contender['role'] }[] {
    const { model } = this;
    const config = model && this.#configOf(model);
    if (!model || !config) return [];
    const others = this.#project.records.models.filter((other) => {
      const theirs = this.#configOf(other);
      return other.id !== model.id && theirs !== null && sameQuestion(theirs, config);
    });
    const baselines = others.filter((other) => this.#runOf(other)?.role === 'baseline');
    const earlier = others.filter(
      (other) => this.#runOf(other)?.role !== 'baseline' && other.number < model.number,
    );
    return [
      { model, role: 'model' },
      ...baselines.slice(0, 2).map((other) => {
        const run = this.#runOf(other);
        return { model: other, role: run && isRuleBaseline(run) ? 'rule' : 'linear' } as const;
      }),
      ...earlier
        .slice(-EARLIER)
        .toReversed()
        .map((other) => ({ model: other, role: 'earlier' }) as const),
    ];
  }

  /** The run that a model comes from, through its parents. */
  #runOf(model: ModelVersion): Run | null {
    for (let at: ModelVersion | null = model; at !== null;) {
      const { runId, parentId }: ModelVersion = at;
      if (runId !== null) return this.#project.runs.list.find((run) => run.id === runId) ?? null;
      at = this.#project.records.models.find((other) => other.id === parentId) ?? null;
    }
    return null;
  }

  /** The split a model was trained with says which rows it has not seen; a foreign model takes the project's. */
  #configOf(model: ModelVersion): RunConfig | null {
    return this.#runOf(model)?.config ?? this.#project.studio.runConfig(this.#project.current);
  }
}
