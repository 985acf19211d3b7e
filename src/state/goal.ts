/** What changes together when a person chooses another column to predict, and the gates that make sense for it. */
import type {
  DatasetManifest,
  Gate,
  MetricName,
  Project,
  ProjectEdit,
  TaskType,
} from '../protocol/entities';

export const METRICS: Readonly<Record<TaskType, readonly MetricName[]>> = {
  classification: ['accuracy', 'f1_macro'],
  regression: ['mae', 'rmse', 'r2'],
};

/** Numbers with more values than this are quantities, unless the person says otherwise. */
const FEW_NUMBERS = 20;

/** Columns that can be predicted, in file order. */
export function targetsOf(manifest: DatasetManifest): readonly string[] {
  if (manifest.type === 'images') return ['label'];
  return manifest.columns
    .filter(({ kind }) => kind === 'numeric' || kind === 'categorical')
    .map(({ name }) => name);
}

/** The kinds of question that a column allows, the likelier first. */
export function tasksOf(manifest: DatasetManifest, target: string): readonly TaskType[] {
  if (manifest.type === 'images') return ['classification'];
  const column = manifest.columns.find(({ name }) => name === target);
  if (!column || column.storage === 'codes') return ['classification'];
  const few = column.distinct <= FEW_NUMBERS && Number.isInteger(column.min);
  return few ? ['classification', 'regression'] : ['regression', 'classification'];
}

export function chooseGoal(project: Project, target: string, task: TaskType): ProjectEdit {
  const fits = (gate: Gate): boolean =>
    gate.kind !== 'metric' || (gate.metric !== undefined && METRICS[task].includes(gate.metric));
  const loss = task === 'regression' ? ('mse' as const) : ('softmax-ce' as const);
  const { training } = project;
  return {
    target,
    task,
    gates: project.gates.filter(fits),
    training: training && project.task !== task ? { ...training, loss } : training,
  };
}

export function setGate(
  gates: readonly Gate[],
  kind: Gate['kind'],
  gate: Gate | null,
): readonly Gate[] {
  const order: readonly Gate['kind'][] = ['metric', 'size', 'latency'];
  const others = gates.filter((other) => other.kind !== kind);
  return [...others, ...(gate ? [gate] : [])].sort(
    (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind),
  );
}
