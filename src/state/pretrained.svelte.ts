/** Starting from a pretrained body: what there is to choose from, what was understood of it, and the edits of it. */
import { learningOf, type Learning } from '../blueprints/pretrained';
import type { Progress } from '../protocol/progress';
import type {
  FineTuneStrategy,
  PretrainedBlueprint,
  PretrainedSource,
} from '../protocol/fine-tune';
import type {
  BackboneManifest,
  PretrainedFile,
  PretrainedModel,
  PretrainedSummary,
} from '../protocol/pretrained';
import {
  misfit,
  pacedTraining,
  pixelChoices,
  pretrainedBlueprint,
  samePixels,
  STRATEGIES,
  type PixelChoice,
} from '../services/pretrained';
import type { OpenProject } from './project.svelte';

export const BACKBONE = 'efficientnet-lite0';

export class Pretrained {
  readonly #project: OpenProject;
  #backbone = $state.raw<BackboneManifest | null>(null);
  #own = $state.raw<readonly PretrainedModel[]>([]);
  #summary = $state.raw<PretrainedSummary | null>(null);
  #summaryOf = $state('');
  #refused = $state.raw<{ readonly model: PretrainedModel; readonly why: string } | null>(null);
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);

  constructor(project: OpenProject) {
    this.#project = project;
  }

  get backbone(): BackboneManifest | null {
    return this.#backbone;
  }

  /** Models that the person brought before. */
  get own(): readonly PretrainedModel[] {
    return this.#own;
  }

  /** Of the body that the project starts from; null until it is known. */
  get summary(): PretrainedSummary | null {
    const { blueprint } = this;
    return blueprint && keyOf(blueprint.source) === this.#summaryOf ? this.#summary : null;
  }

  /** What was brought and cannot be taught with this project's data. */
  get refused(): { readonly model: PretrainedModel; readonly why: string } | null {
    return this.#refused;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): unknown {
    return this.#error;
  }

  get blueprint(): PretrainedBlueprint | null {
    const { blueprint } = this.#project.current;
    return blueprint?.kind === 'pretrained' ? blueprint : null;
  }

  get name(): string {
    const source = this.blueprint?.source;
    if (!source) return '';
    if (source.kind === 'embedded') return this.#backbone?.name ?? source.id;
    return this.#own.find(({ id }) => id === source.sha256)?.name ?? source.sha256.slice(0, 12);
  }

  /** What a pixel can become for a body of the person's own; none where it is known, or it takes no pictures. */
  readonly pixels = $derived.by((): readonly PixelChoice[] => {
    const { summary, blueprint } = this;
    if (!summary || !blueprint?.picture || blueprint.source.kind !== 'own') return [];
    return pixelChoices(summary, blueprint.picture);
  });

  /** Which of them it is. */
  readonly pixel = $derived.by(() => {
    const picture = this.blueprint?.picture;
    return picture ? this.pixels.findIndex((choice) => samePixels(choice, picture)) : -1;
  });

  choosePixel(index: number): void {
    const choice = this.pixels[index];
    const picture = this.blueprint?.picture;
    if (!choice || !picture) return;
    this.edit({ picture: { ...picture, mean: choice.mean, std: choice.std } });
  }

  learning(outputs: number): Learning | null {
    const { summary, blueprint } = this;
    return summary && blueprint ? learningOf(summary, blueprint, outputs) : null;
  }

  /** What the picker offers, and the summary of what is chosen. */
  async load(): Promise<void> {
    const { train, store } = this.#project.studio.workers;
    await this.#work(null, async () => {
      this.#own = await store.listPretrained();
      this.#backbone ??= await train.backbone(BACKBONE);
    });
    await this.refresh();
  }

  async refresh(): Promise<void> {
    const source = this.blueprint?.source;
    if (!source || keyOf(source) === this.#summaryOf) return;
    await this.#work({ label: '' }, async () => {
      await this.#describe(source);
    });
  }

  /** Makes the project start from a body that is there. */
  async choose(source: PretrainedSource): Promise<void> {
    this.#refused = null;
    await this.#work({ label: '' }, async () => {
      const summary = await this.#describe(source);
      const manifest = this.#project.records.dataset?.manifest;
      if (!manifest) return;
      const why = misfit(summary, manifest);
      const model =
        source.kind === 'own' ? this.#own.find(({ id }) => id === source.sha256) : undefined;
      if (why !== null && model) this.#refused = { model, why };
      else this.#begin(pretrainedBlueprint(source, summary, manifest));
    });
  }

  /** Reads what the person picked, keeps it, and starts from it where it fits. */
  async bring(files: readonly PretrainedFile[]): Promise<void> {
    let id = '';
    await this.#work({ label: '' }, async () => {
      const { studio, current } = this.#project;
      const told = (progress: Progress) => (this.#progress = progress);
      const made = await studio.importPretrained(files, told, current);
      this.#own = await studio.store.listPretrained();
      id = made.id;
    });
    if (id !== '') await this.choose({ kind: 'own', sha256: id });
  }

  /** Gives up a model of the person's own; projects that start from it ask for its file again. */
  async erase(id: string): Promise<void> {
    const { store } = this.#project.studio;
    await this.#work({ label: '' }, async () => {
      await store.erasePretrained(id);
      this.#own = await store.listPretrained();
    });
  }

  /** What cannot be taught may still answer: kept as a model of the project. Whether that worked. */
  async useAsItIs(): Promise<boolean> {
    const model = this.#refused?.model;
    if (!model) return false;
    let kept = false;
    await this.#work({ label: '' }, async () => {
      const { studio, current, records } = this.#project;
      const bytes = await studio.store.getPretrainedFile(model.id);
      await studio.importModel(current.id, model.name, bytes);
      await records.loadModels();
      this.#refused = null;
      kept = true;
    });
    return kept;
  }

  edit(change: Partial<PretrainedBlueprint>): void {
    const { blueprint } = this;
    if (blueprint) this.#project.edit({ blueprint: { ...blueprint, ...change } });
  }

  /** Another strategy begins with its own figures and pace. */
  chooseStrategy(kind: FineTuneStrategy['kind']): void {
    const { blueprint } = this;
    if (blueprint && blueprint.strategy.kind !== kind) {
      this.#begin({ ...blueprint, strategy: STRATEGIES[kind] });
    }
  }

  #begin(blueprint: PretrainedBlueprint): void {
    const { training } = this.#project.current;
    const paced = training && pacedTraining(training, blueprint.strategy.kind);
    this.#project.edit({ blueprint, ...(paced ? { training: paced } : {}) });
  }

  async #describe(source: PretrainedSource): Promise<PretrainedSummary> {
    const summary = await this.#project.studio.workers.train.describePretrained(source);
    this.#summary = summary;
    this.#summaryOf = keyOf(source);
    return summary;
  }

  async #work(progress: Progress | null, work: () => Promise<void>): Promise<void> {
    this.#progress = progress;
    this.#error = null;
    try {
      await work();
    } catch (error) {
      this.#error = error;
    } finally {
      this.#progress = null;
    }
  }
}

function keyOf(source: PretrainedSource): string {
  return source.kind === 'embedded' ? source.id : source.sha256;
}
