/**
 * How records lie in a file. A project's file has all of its records in `records.json`. An archive of many has
 * `projects/<id>.json` for each, and what projects share once: `datasets/<id>.json`, `bodies/<id>.json`.
 */
import * as v from 'valibot';
import type { Bundle } from '../bundle';
import type { PretrainedModel } from '../../protocol/pretrained';
import { pretrainedModel } from '../pretrained-schema';
import { decodeNumber, encodeNumber } from '../record-hash';
import { bundleSchema, datasetSchema, ownRecords } from '../record-schemas';
import { hash, id, text } from '../record-parts';
import { checked, damaged, parseJson } from './refusals';

export const RECORDS = 'records.json';
export const INDEX = 'index.json';

export interface Index {
  readonly projects: readonly {
    readonly id: string;
    readonly name: string;
    /** Locked: it lies sealed in `sealed/<id>/`, and the name is its label. */
    readonly sealed: boolean;
  }[];
  readonly settings: Readonly<Record<string, unknown>>;
}

const indexSchema = v.strictObject({
  projects: v.array(v.strictObject({ id, name: text, sealed: v.boolean() })),
  settings: v.record(text, v.unknown()),
});

const sharingSchema = v.strictObject({
  ...ownRecords,
  datasets: v.array(hash),
  pretrained: v.array(hash),
});

/** The loss of a run that diverged is not a number that JSON knows. */
const encodeMember = (_: string, value: unknown) => encodeNumber(value);
const decodeMember = (_: string, value: unknown) => decodeNumber(value);

export function encodeRecords(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value, encodeMember));
}

/** A project's records as they lie in an archive of many. */
export function sharing({ datasets, pretrained, ...records }: Bundle): object {
  return {
    ...records,
    datasets: datasets.map((row) => row.id),
    pretrained: pretrained.map((row) => row.id),
  };
}

export type ReadEntry = (name: string) => Promise<Uint8Array>;

export async function readIndex(read: ReadEntry): Promise<Index> {
  const index = checked(indexSchema, parseJson(await read(INDEX), INDEX), INDEX);
  const ids = new Set(index.projects.map((project) => project.id));
  if (ids.size !== index.projects.length) throw damaged('it lists a project twice');
  return index;
}

export async function readRecords(read: ReadEntry): Promise<Bundle> {
  return checked(bundleSchema, await json(read, RECORDS), RECORDS);
}

export async function readSharing(read: ReadEntry, projectId: string): Promise<Bundle> {
  const name = `projects/${projectId}.json`;
  const records = checked(sharingSchema, await json(read, name), name);
  if (records.project.id !== projectId) throw damaged(`${name} holds another project`);
  return {
    ...records,
    datasets: await shared(read, 'datasets', records.datasets, datasetSchema),
    pretrained: await shared(read, 'bodies', records.pretrained, pretrainedModel),
  };
}

export async function readBody(read: ReadEntry, id: string): Promise<PretrainedModel> {
  const [model] = await shared(read, 'bodies', [id], pretrainedModel);
  if (!model) throw damaged(`bodies/${id}.json is missing`);
  return model;
}

async function shared<T extends { readonly id: string }>(
  read: ReadEntry,
  folder: 'datasets' | 'bodies',
  ids: readonly string[],
  schema: v.GenericSchema<unknown, T>,
): Promise<readonly T[]> {
  const records: T[] = [];
  for (const wanted of ids) {
    const name = `${folder}/${wanted}.json`;
    const record = checked(schema, await json(read, name), name);
    if (record.id !== wanted) throw damaged(`${name} holds another record`);
    records.push(record);
  }
  return records;
}

async function json(read: ReadEntry, name: string): Promise<unknown> {
  return parseJson(await read(name), name, decodeMember);
}
