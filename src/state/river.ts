/**
 * The lineage of a project as a river from left to right: data, run, model, int8 copy, evaluation. One row a model.
 * Pure: where everything stands and how it is joined; the screen draws it.
 */
import type { Evaluation, Id, ModelVersion, Project, Run } from '../protocol/entities';
import { evaluationOf, rankedModels } from './model-choice';
import { changesSince } from './stages';

export const RIVER_KINDS = ['data', 'run', 'model', 'copy', 'evaluation'] as const;
export type RiverKind = (typeof RIVER_KINDS)[number];

export interface RiverNode {
  /** Kind and record: a model and its evaluation never share one. */
  readonly id: string;
  readonly kind: RiverKind;
  readonly recordId: Id;
  readonly row: number;
  /** Retired, or made with settings that the project no longer has. */
  readonly faded: boolean;
  readonly champion: boolean;
  readonly from: readonly string[];
}

export interface RiverEdge {
  readonly from: RiverNode;
  readonly to: RiverNode;
  readonly champion: boolean;
  readonly thin: boolean;
  readonly dashed: boolean;
}

export interface River {
  readonly nodes: readonly RiverNode[];
  readonly edges: readonly RiverEdge[];
  readonly kinds: readonly RiverKind[];
  readonly rows: number;
}

export interface RiverRecords {
  readonly project: Project;
  readonly models: readonly ModelVersion[];
  readonly runs: readonly Run[];
  readonly evaluations: readonly Evaluation[];
}

export const nodeId = (kind: RiverKind, recordId: Id): string => `${kind}:${recordId}`;

/** A copy and its copies stand under the model that they were made from. */
function inRows(models: readonly ModelVersion[], runs: readonly Run[]): readonly ModelVersion[] {
  const ids = new Set(models.map(({ id }) => id));
  const children = (parent: Id): readonly ModelVersion[] =>
    models.filter(({ parentId }) => parentId === parent);
  const withCopies = (model: ModelVersion): readonly ModelVersion[] => [
    model,
    ...children(model.id).flatMap(withCopies),
  ];
  return rankedModels(models, runs)
    .filter(({ parentId }) => parentId === null || !ids.has(parentId))
    .flatMap(withCopies);
}

export function isStale(model: ModelVersion, runs: readonly Run[], project: Project): boolean {
  const run = runs.find(({ id }) => id === model.runId);
  return run?.role === 'model' && changesSince(project, run).length > 0;
}

export function layOutRiver({ project, models, runs, evaluations }: RiverRecords): River {
  const nodes = new Map<string, RiverNode>();
  const put = (
    kind: RiverKind,
    recordId: Id,
    node: Omit<RiverNode, 'id' | 'kind' | 'recordId'>,
  ) => {
    const id = nodeId(kind, recordId);
    const before = nodes.get(id);
    // Shared by several rows (data): it stands where it first does, and is as alive as its liveliest row.
    nodes.set(
      id,
      before
        ? {
            ...before,
            faded: before.faded && node.faded,
            champion: before.champion || node.champion,
          }
        : { id, kind, recordId, ...node },
    );
    return id;
  };
  const ordered = inRows(models, runs);
  const byId = new Map(models.map((model) => [model.id, model]));
  const champion = championPath(models);
  ordered.forEach((model, row) => {
    const parent = model.parentId === null ? undefined : byId.get(model.parentId);
    const common = {
      row,
      faded: model.stage === 'retired' || isStale(model, runs, project),
      champion: champion.has(model.id),
    };
    const from: string[] = [];
    if (parent) {
      from.push(nodeId(parent.parentId === null ? 'model' : 'copy', parent.id));
    } else if (model.runId !== null && runs.some(({ id }) => id === model.runId)) {
      const datasetId = runs.find(({ id }) => id === model.runId)?.config.datasetId;
      const data = datasetId ? [put('data', datasetId, { ...common, from: [] })] : [];
      from.push(put('run', model.runId, { ...common, from: data }));
    }
    const made = put(parent ? 'copy' : 'model', model.id, { ...common, from });
    const evaluation = evaluationOf(model.id, evaluations);
    if (evaluation) put('evaluation', evaluation.id, { ...common, from: [made] });
  });
  const list = [...nodes.values()];
  return {
    nodes: list,
    edges: edgesOf(nodes),
    kinds: RIVER_KINDS.filter((kind) => list.some((node) => node.kind === kind)),
    rows: ordered.length,
  };
}

/** The champion and the models that it was made from. */
function championPath(models: readonly ModelVersion[]): ReadonlySet<Id> {
  const path = new Set<Id>();
  let at = models.find(({ stage }) => stage === 'champion');
  while (at && !path.has(at.id)) {
    path.add(at.id);
    const { parentId } = at;
    at = models.find(({ id }) => id === parentId);
  }
  return path;
}

function edgesOf(nodes: ReadonlyMap<string, RiverNode>): readonly RiverEdge[] {
  return [...nodes.values()].flatMap((to) =>
    to.from.flatMap((id) => {
      const from = nodes.get(id);
      if (!from) return [];
      const champion = from.champion && to.champion;
      const thin = to.kind === 'copy' || from.kind === 'copy';
      return [{ from, to, champion, thin, dashed: to.faded }];
    }),
  );
}

/** A node and everything that it came from. */
export function ancestry(river: River, id: string | null): ReadonlySet<string> {
  const lit = new Set<string>();
  const visit = (at: string): void => {
    if (lit.has(at)) return;
    lit.add(at);
    river.nodes.find((node) => node.id === at)?.from.forEach(visit);
  };
  if (id !== null) visit(id);
  return lit;
}
