/** What is said before training: columns left out and why, and warnings about rows, classes and leaks. */
import { planColumns, tooLargeForFloat32 } from './columns-plan';
import { IMAGE_TARGET, listed } from './dataset';
import { tooLarge } from './recipe/fit';
import { groupsOf } from './prepare';
import { LEAST_PER_CLASS, splitRows } from './split';
import { suspiciousColumns } from './suspicious';
import { readTarget } from './target';
import { classCounts } from './batches/batches';
import type { Inspection } from '../protocol/api';
import { LEAST_PICTURES } from './pictures/limits';
import type { DataFinding, ImagesManifest, RunConfig, TableManifest } from '../protocol/entities';
import type { Dataset, TableData } from './dataset';
import type { PlannedColumn } from './columns-plan';
import type { Target } from './target';

const FEW_ROWS = 50;

type InspectConfig = Pick<RunConfig, 'target' | 'task' | 'recipe' | 'split'>;

/** Findings of the columns alone, for the import result; a target is not known yet. */
export function columnFindings(table: TableManifest): DataFinding[] {
  const findings = planColumns(table, '', {}).flatMap(({ reason }) => (reason ? [reason] : []));
  if (table.rows < FEW_ROWS) findings.push(fewRows(table.rows));
  return findings;
}

/** Findings of pictures: what was left out of the folder, and what is odd about the rest. */
export function pictureFindings(
  { classes, intake }: ImagesManifest,
  counts: readonly number[],
): DataFinding[] {
  const findings: DataFinding[] = [];
  const small = classes.filter((_, index) => (counts[index] ?? 0) < LEAST_PICTURES);
  if (small.length > 0) {
    findings.push({
      code: 'small-class',
      column: IMAGE_TARGET,
      message: `${listed(small)} ${small.length === 1 ? 'has' : 'have'} fewer than ${LEAST_PICTURES} pictures, too few to learn from and to check. Bring more of ${small.length === 1 ? 'it' : 'them'}.`,
    });
  }
  if (!intake) return findings;
  const { leftOut, leftOutCount, duplicates, contradictions } = intake;
  if (leftOutCount > 0) {
    const named = leftOut.slice(0, 3).map(({ name, reason }) => `"${name}": ${reason}`);
    const more = leftOutCount > named.length ? ` And ${leftOutCount - named.length} more.` : '';
    findings.push({
      code: 'left-out',
      message: `${leftOutCount} ${leftOutCount === 1 ? 'file was' : 'files were'} left out. ${named.join(' ')}${more}`,
    });
  }
  if (duplicates > 0) {
    findings.push({
      code: 'duplicates',
      message: `${duplicates} ${duplicates === 1 ? 'picture equals another one' : 'pictures equal another one'}, pixel for pixel. One in training and its copy in the test part make scores look better than they are.`,
    });
  }
  if (contradictions > 0) {
    findings.push({
      code: 'contradictions',
      message: `${contradictions} of them ${contradictions === 1 ? 'stands' : 'stand'} in two different classes. Nothing can learn which is right; remove one of each.`,
    });
  }
  return findings;
}

export async function inspectDataset(dataset: Dataset, config: InspectConfig): Promise<Inspection> {
  const target = await readTarget(dataset, config);
  const usable = target.values.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : 1), 0);
  const setAside = target.values.length - usable;
  const findings: DataFinding[] = [];
  if (setAside > 0) findings.push(missingTarget(target.column, setAside));
  if (usable < FEW_ROWS) findings.push(fewRows(usable));
  if (dataset.type === 'table') findings.push(...smallClasses(target));
  else {
    const every = Uint32Array.from(target.values, (_, row) => row);
    findings.push(...pictureFindings(dataset.manifest, classCounts(target, every)));
  }
  const features =
    dataset.type === 'table' ? await tableFeatures(dataset, target, config, findings) : [];
  const parts = splitRows(target, config.split, groupsOf(dataset));
  return {
    features,
    findings,
    usableRows: usable,
    setAside,
    parts: {
      train: parts.train.length,
      validation: parts.validation.length,
      test: parts.test.length,
    },
  };
}

async function tableFeatures(
  table: TableData,
  target: Target,
  { recipe }: InspectConfig,
  findings: DataFinding[],
): Promise<Inspection['features']> {
  const plan = planColumns(table.manifest, target.column, recipe.use);
  const refused = new Set<string>();
  for (const { column, used, role } of plan) {
    if (!used || role !== 'numeric') continue;
    const data = await table.column(column.name);
    if (data.storage === 'float64' && tooLargeForFloat32(data.values)) refused.add(column.name);
  }
  findings.push(...plan.flatMap(({ reason, used }) => (reason && !used ? [reason] : [])));
  findings.push(...[...refused].map(tooLarge));
  for (const { column, score } of await suspiciousColumns(table, target, plan)) {
    findings.push(suspicious(column, score, target));
  }
  return plan.map((planned) => ({
    column: planned.column.name,
    used: planned.used && !refused.has(planned.column.name),
    reason: reasonOf(planned, refused),
    kind: planned.column.kind,
  }));
}

function reasonOf({ column, reason }: PlannedColumn, refused: ReadonlySet<string>): string | null {
  return refused.has(column.name) ? tooLarge(column.name).message : (reason?.message ?? null);
}

function fewRows(rows: number): DataFinding {
  return {
    code: 'few-rows',
    message: `Only ${rows} rows: results will vary a lot from split to split. With ${FEW_ROWS} or more they mean something.`,
  };
}

function missingTarget(column: string, rows: number): DataFinding {
  return {
    code: 'missing-target',
    column,
    message: `${rows} ${rows === 1 ? 'row has' : 'rows have'} no "${column}" and ${rows === 1 ? 'is' : 'are'} set aside.`,
  };
}

function smallClasses(target: Target): DataFinding[] {
  if (target.task !== 'classification') return [];
  const rows = Uint32Array.from(target.values, (_, row) => row);
  const counts = classCounts(target, rows);
  const small = target.classes.filter((_, index) => (counts[index] ?? 0) < LEAST_PER_CLASS);
  if (small.length === 0) return [];
  return [
    {
      code: 'small-class',
      column: target.column,
      message: `${listed(small)} ${small.length === 1 ? 'has' : 'have'} fewer than ${LEAST_PER_CLASS} rows and cannot stand in training, validation and test at once. Bring more rows of ${small.length === 1 ? 'it' : 'them'}, or merge classes.`,
    },
  ];
}

function suspicious(column: string, score: number, target: Target): DataFinding {
  const percent = Math.floor(score * 1000) / 10;
  const how =
    target.task === 'classification'
      ? `predicts "${target.column}" right in ${percent} % of rows`
      : `explains ${percent} % of the differences in "${target.column}"`;
  return {
    code: 'suspicious',
    column,
    message: `Suspiciously good: "${column}" alone ${how}. If it is only known after the answer, switch it off.`,
  };
}
