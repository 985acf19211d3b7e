/**
 * `.terrarium`: a project as one file, for backup, hand-out and hand-in. `records.json` holds the records,
 * `chunks/<sha256>` the bytes. Without rows it holds no value that a single row could be read from, except the
 * ranges and category names that a model needs to work; `contents` says so in words.
 */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { ChunkRef, DatasetManifest, DatasetVersion } from '../protocol/entities';
import { sha256Hex } from '../core/hash';
import {
  bundleChunks,
  copyBundle,
  insertBundle,
  namedPretrained,
  readBundle,
  withoutTrash,
} from './bundle';
import type { Bundle } from './bundle';
import type { StoreContext } from './context';
import { megabytes } from './errors';
import { decodeNumber, encodeNumber, hashRecord } from './record-hash';
import { bundleSchema } from './record-schemas';
import { datasetChunks } from './references';
import { checked, damaged, parseJson, readContainer, writeContainer } from './zip-container';

type ProjectFileMethods = Pick<StoreApi, 'exportProject' | 'importProject'>;

const RECORDS = 'records.json';
/** More distinct values than this are people's words rather than categories (the same limit as for features). */
const MOST_CATEGORIES = 50;

export function projectFileMethods(context: StoreContext): ProjectFileMethods {
  async function writeChunks(bundle: Bundle, entries: Map<string, Uint8Array<ArrayBuffer>>) {
    const written: ChunkRef[] = [];
    try {
      for (const ref of uniqueChunks(bundle)) {
        const bytes = entries.get(chunkName(ref));
        // A copy, because the entry may be a window into the whole file.
        if (bytes) written.push(await context.chunks.put(bytes.slice().buffer));
      }
      return await insertBundle(context, bundle);
    } catch (error) {
      await context.tidy(
        context.chunks
          .settle(written)
          .then(() => context.whileNotCollecting('exclusive', () => context.sweep(false))),
      );
      throw error;
    }
  }

  return {
    async exportProject(id, { withData }) {
      const whole = withoutTrash(await readBundle(context, id));
      const bundle = withData ? whole : withoutRows(whole);
      const contents = describeContents(bundle);
      const entries = new Map([
        [RECORDS, new TextEncoder().encode(JSON.stringify(bundle, encodeMember))],
      ]);
      for (const ref of uniqueChunks(bundle)) {
        entries.set(chunkName(ref), new Uint8Array(await context.chunks.get(ref)));
      }
      return { bytes: await writeContainer({ contents, entries }), contents };
    },

    async importProject(file) {
      context.assertWritable();
      const { entries } = await readContainer(file);
      const records = entries.get(RECORDS);
      if (!records) throw damaged(`${RECORDS} is missing`);
      const bundle = checked(bundleSchema, parseJson(records, RECORDS, decodeMember), RECORDS);
      await checkBundle(bundle, entries);
      const copy = await copyBundle(bundle, context.now(), bundle.project.name);
      return writeChunks(copy, new Map(entries));
    },
  };
}

/** The loss of a run that diverged is not a number that JSON knows. */
const encodeMember = (_: string, value: unknown) => encodeNumber(value);
const decodeMember = (_: string, value: unknown) => decodeNumber(value);

const chunkName = (ref: ChunkRef) => `chunks/${ref.sha256}`;

function uniqueChunks(bundle: Bundle): readonly ChunkRef[] {
  return [...new Map(bundleChunks(bundle).map((ref) => [ref.sha256, ref])).values()];
}

// ---- leaving the rows out -----------------------------------------------------------------------------------

function withoutRows(bundle: Bundle): Bundle {
  return {
    ...bundle,
    datasets: bundle.datasets.map(({ manifest, ...dataset }): DatasetVersion => ({
      ...dataset,
      manifest: manifestWithoutRows(manifest),
      rowsLeftOut: true,
    })),
    // Predictions hold the true value of every row.
    evaluations: bundle.evaluations.map((row) => ({ ...row, predictions: null })),
  };
}

/** Names of categories stay; the vocabulary of a text or identifier column would be its rows. */
function manifestWithoutRows(manifest: DatasetManifest): DatasetManifest {
  if (manifest.type === 'images') {
    const { groups } = manifest;
    const bare = { ...manifest, pixels: [], labels: [] };
    return groups ? { ...bare, groups: { ...groups, chunks: [] } } : bare;
  }
  return {
    ...manifest,
    columns: manifest.columns.map(({ vocabularyChunks: _, ...column }) => {
      const categories = column.kind === 'categorical' && column.distinct <= MOST_CATEGORIES;
      return { ...column, chunks: [], vocabulary: categories ? column.vocabulary : [] };
    }),
  };
}

/** What is in the file, in the words of the export dialog. */
export function describeContents(bundle: Bundle): readonly string[] {
  const { runs, models, evaluations } = bundle;
  const lines = ['the goal and all settings of the project'];
  if (runs.length > 0) lines.push(`${counted(runs.length, 'run')}: settings and curves`);
  if (models.length > 0) {
    lines.push(
      `${counted(models.length, 'model')}: weights, column and category names, ranges and averages of numbers`,
    );
  }
  if (evaluations.length > 0) {
    const rows = evaluations.some((row) => row.predictions !== null);
    const kept = rows ? 'figures and the prediction of every row' : 'figures';
    lines.push(`${counted(evaluations.length, 'evaluation')}: ${kept}`);
  }
  for (const { name, bytes } of bundle.pretrained) {
    lines.push(`the pretrained model ${name} (${megabytes(bytes)})`);
  }
  const there = new Set(bundle.pretrained.map(({ id }) => id));
  for (const [id, name] of namedPretrained(bundle)) {
    if (!there.has(id)) lines.push(`not the pretrained model ${name}: this browser has it no more`);
  }
  const { datasets } = bundle;
  for (const { manifest, rowsLeftOut } of datasets.filter((dataset) => !dataset.rowsLeftOut)) {
    if (!rowsLeftOut) lines.push(`all ${manifest.rows} rows of ${manifest.name}`);
  }
  const left = datasets.filter((dataset) => dataset.rowsLeftOut).map((row) => row.manifest.name);
  if (left.length > 0) {
    lines.push(`column names, category names and number ranges of ${left.join(', ')}`);
  }
  if (left.length === datasets.length) lines.push('no rows');
  return lines;
}

function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

// ---- checks that a form alone cannot make ---------------------------------------------------------------------

async function checkBundle(
  bundle: Bundle,
  entries: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): Promise<void> {
  for (const { id, manifest, rowsLeftOut } of bundle.datasets) {
    if (rowsLeftOut && datasetChunks(manifest).length > 0) {
      throw damaged(`“${manifest.name}” is said to have no rows, and has some`);
    }
    if (!rowsLeftOut && (await hashRecord(manifest)) !== id) {
      throw damaged(`the description of “${manifest.name}” does not match its hash`);
    }
  }
  for (const ref of bundleChunks(bundle)) {
    const bytes = entries.get(chunkName(ref));
    // That the bytes match the hash in their name, the container has checked.
    if (bytes?.byteLength !== ref.bytes) throw damaged(`${chunkName(ref)} is missing`);
  }
  const named = new Set(bundleChunks(bundle).map(chunkName));
  for (const name of entries.keys()) {
    if (name !== RECORDS && !named.has(name)) throw damaged(`no record names its entry ${name}`);
  }
  for (const { id, name, bytes, chunks } of bundle.pretrained) {
    const pieces = chunks.map((ref) => entries.get(chunkName(ref)) ?? new Uint8Array());
    const file = await new Blob(pieces).arrayBuffer();
    if (file.byteLength !== bytes || (await sha256Hex(file)) !== id) {
      throw damaged(`the pieces of the pretrained model “${name}” do not match its hash`);
    }
  }
  checkReferences(bundle);
}

function checkReferences(bundle: Bundle): void {
  const { project, datasets, runs, models, evaluations } = bundle;
  unique('pretrained model', bundle.pretrained);
  const datasetIds = unique('dataset', datasets);
  const runIds = unique('run', runs);
  const modelIds = unique('model', models);
  unique('evaluation', evaluations);
  const need = (ids: ReadonlySet<string>, id: string | null, what: string) => {
    if (id !== null && !ids.has(id)) throw damaged(`a ${what} that it names is missing`);
  };
  need(datasetIds, project.datasetId, 'dataset');
  for (const run of runs) {
    need(datasetIds, run.config.datasetId, 'dataset');
    need(modelIds, run.modelVersionId, 'model');
  }
  const numbers = new Map(models.map((model) => [model.id, model.number]));
  for (const model of models) {
    need(datasetIds, model.datasetId, 'dataset');
    need(runIds, model.runId, 'run');
    need(modelIds, model.parentId, 'model');
    // Also keeps a model from being its own ancestor.
    if (model.parentId !== null && (numbers.get(model.parentId) ?? 0) >= model.number) {
      throw damaged('a model is older than the one it was made from');
    }
  }
  for (const row of evaluations) {
    need(datasetIds, row.datasetId, 'dataset');
    need(modelIds, row.modelVersionId, 'model');
  }
  const records = [...runs, ...models, ...evaluations];
  if (records.some((record) => record.projectId !== project.id)) {
    throw damaged('a record belongs to another project');
  }
  if (models.filter((model) => model.stage === 'champion').length > 1) {
    throw damaged('it has two champions');
  }
  for (const numbered of [runs, models]) {
    if (new Set(numbered.map((record) => record.number)).size !== numbered.length) {
      throw damaged('a number is given twice');
    }
  }
}

function unique(what: string, records: readonly { readonly id: string }[]): ReadonlySet<string> {
  const ids = new Set(records.map((record) => record.id));
  if (ids.size !== records.length)
    throw new AppError(
      'project-file/damaged',
      `The project file is damaged: it has a ${what} twice. Nothing was imported.`,
    );
  return ids;
}
