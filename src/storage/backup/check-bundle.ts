/** What a project's records in a file must fulfil and no form alone can say. */
import type { ChunkRef } from '../../protocol/entities';
import type { PretrainedModel } from '../../protocol/pretrained';
import type { Bundle } from '../bundle';
import { leaves } from '../chunks';
import { hashRecord } from '../record-hash';
import { datasetChunks } from '../references';
import { ownedChunks } from './leaving-out';
import { damaged } from './refusals';

/** Of a chunk by its hash: undefined where the file has none, null where it says that it is left out. */
export type BytesOf = (sha256: string) => number | null | undefined;

export async function checkBundle(bundle: Bundle, bytesOf: BytesOf): Promise<void> {
  for (const { id, manifest, rowsLeftOut } of bundle.datasets) {
    if (rowsLeftOut && datasetChunks(manifest).length > 0) {
      throw damaged(`“${manifest.name}” is said to have no rows, and has some`);
    }
    if (!rowsLeftOut && (await hashRecord(manifest)) !== id) {
      throw damaged(`the description of “${manifest.name}” does not match its hash`);
    }
  }
  for (const { what, refs } of ownedChunks(bundle)) checkLengths(refs, what, bytesOf);
  for (const model of bundle.pretrained) checkBody(model, bytesOf);
  checkReferences(bundle);
}

/** A pretrained model, which may belong to no project. */
export function checkBody({ name, bytes, chunks }: PretrainedModel, bytesOf: BytesOf): void {
  const what = `the pretrained model “${name}”`;
  checkLengths(chunks, what, bytesOf);
  const total = chunks.reduce((sum, ref) => sum + ref.bytes, 0);
  if (total !== bytes) throw damaged(`${what} has another length`);
}

function checkLengths(refs: readonly ChunkRef[], what: string, bytesOf: BytesOf): void {
  for (const { sha256, bytes } of leaves(refs)) {
    const found = bytesOf(sha256);
    if (found !== null && found !== bytes) throw damaged(`chunks/${sha256} of ${what} is missing`);
  }
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
  if (ids.size !== records.length) throw damaged(`it has a ${what} twice`);
  return ids;
}
