/**
 * The graph viewer: which graph (or two) is shown, the node looked at, the search, and the window onto the picture.
 * Reading and layout happen in the infer worker; drawing is the screen's business.
 */
import type { GraphPicture, GraphSource, NodeDetails } from '../protocol/graph-view';
import type { ModelVersion } from '../protocol/entities';
import type { NodeCost } from '../profiling/sums';
import { shapeOf } from './model-shape';
import type { Measure } from './profile.svelte';
import type { OpenProject } from './project.svelte';

export interface Choice {
  readonly id: string;
  readonly source: GraphSource;
}

/** Picture point (x, y) stands at `(x * scale + left, y * scale + top)` of the canvas. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly scale: number;
}

/** What nodes cost in a profiled step, for colouring them. */
export interface Heat {
  readonly measure: Measure;
  /** By position in the picture; null where no kernel works for the node. */
  readonly costs: readonly (NodeCost | null)[];
  /** The largest of any node, which has the full colour. */
  readonly most: number;
}

/** Microseconds or bytes. */
export function heatOf(cost: NodeCost, measure: Measure): number {
  return measure === 'time' ? cost.micros : cost.bytes;
}

export const LEAST_SCALE = 0.02;
export const MOST_SCALE = 4;
const MARGIN = 24;

export class GraphViewer {
  readonly #project: OpenProject;
  #file = $state.raw<Choice | null>(null);
  #after = $state<string | null>(null);
  #before = $state<string | null>(null);
  #picture = $state.raw<GraphPicture | null>(null);
  #details = $state.raw<NodeDetails | null>(null);
  #selected = $state<number | null>(null);
  #error = $state.raw<unknown>(null);
  #loading = $state(false);
  #opening = 0;
  #files = 0;
  /** What the picture shows, so that a list that was read anew does not open it again. */
  #shown = '';
  /** Under the mouse. */
  hovered = $state<number | null>(null);
  search = $state('');
  window = $state.raw<Window>({ left: 0, top: 0, scale: 1 });
  size = $state.raw({ width: 0, height: 0 });

  constructor(project: OpenProject) {
    this.#project = project;
    this.#after = project.profile.takeWanted();
  }

  /** What can be shown: a file that was opened here, models, newest first and baselines last, then the blueprint. */
  readonly choices = $derived.by((): readonly Choice[] => {
    const { records, runs, current, data } = this.#project;
    const rank = ({ runId }: ModelVersion): number =>
      runs.list.some(({ id, role }) => id === runId && role === 'baseline') ? 1 : 0;
    const models = records.models
      .filter(({ trashedAt }) => trashedAt === null)
      .reverse()
      .sort((a, b) => rank(a) - rank(b))
      .map(({ id, name, file }) => ({ id, source: { kind: 'model' as const, name, file } }));
    const list: Choice[] = this.#file === null ? models : [this.#file, ...models];
    const target = data.prepared?.recipe.target;
    const { blueprint } = current;
    if (blueprint === null || blueprint.kind === 'pretrained' || !target || !data.prepared)
      return list;
    const single = target.task === 'regression' || current.training?.loss === 'bce';
    const outputs = single ? 1 : target.classes.length;
    const { featureDims } = data.prepared.recipe;
    if (shapeOf(blueprint, featureDims, outputs).problem) return list;
    const source = {
      kind: 'blueprint' as const,
      name: blueprint.kind,
      blueprint,
      featureDims,
      outputs,
    };
    return [...list, { id: 'blueprint', source }];
  });

  readonly after = $derived.by(
    () => this.choices.find(({ id }) => id === this.#after) ?? this.choices[0] ?? null,
  );
  /** The graph it is compared with; none at first. */
  readonly before = $derived.by(
    () => this.choices.find(({ id }) => id === this.#before && id !== this.after?.id) ?? null,
  );

  /** Whether the project's profile is of the graph that is shown, so that it can be drawn onto it. */
  readonly profiled = $derived.by((): boolean => {
    const { after, before } = this;
    if (after === null || before !== null) return false;
    const { records, profile } = this.#project;
    const model = records.models.find(({ id, parentId }) => id === after.id && parentId === null);
    return profile.isOf(after.source, model?.runId ?? null);
  });

  readonly heat = $derived.by((): Heat | null => {
    const { measure, costs: known } = this.#project.profile;
    const picture = this.#picture;
    if (measure === null || known === null || picture === null || !this.profiled) return null;
    const costs = picture.nodes.map(({ name, category }) =>
      category === 'port' ? null : (known.get(name) ?? null),
    );
    const most = costs.reduce((top, cost) => Math.max(top, cost ? heatOf(cost, measure) : 0), 0);
    return { measure, costs, most };
  });

  /** Positions of the nodes that the search finds, in reading order; empty without a search. */
  readonly found = $derived.by((): readonly number[] => {
    const words = this.search.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0 || !this.#picture) return [];
    return this.#picture.nodes.flatMap(({ name, title, detail }, index) => {
      const text = `${title} ${name} ${detail}`.toLowerCase();
      return words.every((word) => text.includes(word)) ? [index] : [];
    });
  });

  get picture() {
    return this.#picture;
  }
  get details() {
    return this.#details;
  }
  get selected() {
    return this.#selected;
  }
  get error() {
    return this.#error;
  }
  get loading() {
    return this.#loading;
  }

  show(id: string): void {
    this.#after = id;
  }

  compareWith(id: string): void {
    this.#before = id;
  }

  /** A file that is only looked at; nothing of it is kept. */
  async openFile(file: File): Promise<void> {
    const bytes = await this.#project.studio.checkedModel(file);
    const id = `file ${++this.#files}`;
    this.#file = { id, source: { kind: 'file', name: file.name, bytes } };
    this.#after = id;
  }

  /** Reads what is chosen; called whenever the choice changes. The last call wins. */
  async open(after: Choice | null, before: Choice | null): Promise<void> {
    const wanted = `${keyOf(after)}\n${keyOf(before)}`;
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    const turn = ++this.#opening;
    this.#error = null;
    if (after === null) {
      this.#picture = null;
      return;
    }
    // A model that is finished meanwhile must not push aside what is looked at.
    this.#after = after.id;
    this.#loading = true;
    try {
      const picture = await this.#project.studio.openGraph(after.source, before?.source ?? null);
      if (turn !== this.#opening) return;
      this.#picture = picture;
      this.hovered = null;
      this.#selected = null;
      this.#details = null;
      this.fit();
    } catch (error) {
      if (turn !== this.#opening) return;
      this.#picture = null;
      this.#error = error;
    } finally {
      if (turn === this.#opening) this.#loading = false;
    }
  }

  /** Looks at a node, or at none. */
  async select(index: number | null): Promise<void> {
    this.#selected = index;
    this.#details = null;
    const picture = this.#picture;
    if (index === null || picture === null) return;
    try {
      const details = await this.#project.studio.graphNode(picture.id, index);
      if (this.#selected === index && this.#picture === picture) this.#details = details;
    } catch (error) {
      this.#error = error;
    }
  }

  /** Looks at a node and brings it to the middle, near enough to read. */
  async goTo(index: number): Promise<void> {
    const node = this.#picture?.nodes[index];
    if (!node) return;
    const scale = Math.max(this.window.scale, 0.8);
    this.window = {
      scale,
      left: this.size.width / 2 - node.x * scale,
      top: this.size.height / 2 - node.y * scale,
    };
    await this.select(index);
  }

  /** The next node that the search finds, after the one looked at. */
  async goToNext(): Promise<void> {
    const next = this.found.find((index) => index > (this.#selected ?? -1)) ?? this.found[0];
    if (next !== undefined) await this.goTo(next);
  }

  /** Nodes that feed the node looked at, or that it feeds. */
  neighbours(side: 'above' | 'below'): readonly number[] {
    const edges = this.#picture?.edges ?? [];
    return side === 'above'
      ? edges.filter(({ to }) => to === this.#selected).map(({ from }) => from)
      : edges.filter(({ from }) => from === this.#selected).map(({ to }) => to);
  }

  /** Zooms by a factor about a point of the canvas. */
  zoom(factor: number, x = this.size.width / 2, y = this.size.height / 2): void {
    const { left, top, scale } = this.window;
    const next = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, scale * factor));
    const ratio = next / scale;
    this.window = { scale: next, left: x - (x - left) * ratio, top: y - (y - top) * ratio };
  }

  pan(dx: number, dy: number): void {
    const { left, top, scale } = this.window;
    this.window = { scale, left: left + dx, top: top + dy };
  }

  /** The whole width; the whole height too where the nodes stay readable, else the top. */
  fit(): void {
    const { width, height } = this.size;
    if (!this.#picture || width === 0) return;
    const wide = (width - 2 * MARGIN) / Math.max(this.#picture.width, 1);
    const high = (height - 2 * MARGIN) / Math.max(this.#picture.height, 1);
    const scale = Math.min(1, wide, Math.max(high, 0.5));
    const top = high >= scale ? (height - this.#picture.height * scale) / 2 : MARGIN;
    this.window = { scale, left: (width - this.#picture.width * scale) / 2, top };
  }

  /** The whole picture, however small. */
  fitAll(): void {
    const { width, height } = this.size;
    if (!this.#picture || width === 0) return;
    const wide = (width - 2 * MARGIN) / Math.max(this.#picture.width, 1);
    const high = (height - 2 * MARGIN) / Math.max(this.#picture.height, 1);
    const scale = Math.max(LEAST_SCALE, Math.min(1, wide, high));
    this.window = {
      scale,
      left: (width - this.#picture.width * scale) / 2,
      top: (height - this.#picture.height * scale) / 2,
    };
  }
}

/** Models and files are known by their id; a blueprint is another one with every setting. */
function keyOf(choice: Choice | null): string {
  if (choice?.source.kind === 'blueprint') return JSON.stringify(choice.source);
  return choice?.id ?? '';
}
