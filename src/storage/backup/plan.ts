/** What goes into a file: chosen and described before a byte of it is written, and without reading the data. */
import type { AppError } from '../../core/errors';
import type { ExportRequest, SavedProject } from '../../protocol/backup';
import type { ChunkRef, Id } from '../../protocol/entities';
import type { PretrainedModel } from '../../protocol/pretrained';
import { describeRecord } from '../../protocol/storage';
import { bundleChunks, readBundle, withoutTrash } from '../bundle';
import type { Bundle } from '../bundle';
import { leaves } from '../chunks';
import type { StoreContext } from '../context';
import { isDamage, megabytes } from '../errors';
import type { Kind, LeftOut, Manifest, Outgoing } from './container';
import { describeContents, describeProject } from './contents';
import { entryOf } from './entry';
import { fingerprint, lockedFingerprint } from './fingerprint';
import {
  danglingRecords,
  ownedChunks,
  withoutDangling,
  withoutMissing,
  withoutRows,
} from './leaving-out';
import { INDEX, RECORDS, encodeRecords, sharing } from './records';
import type { Index } from './records';
import { planSealed } from './sealed';

/** Settings of the person's, not of this browser or device. */
const TRAVELLING: readonly string[] = ['train-view'];

export interface Plan {
  readonly manifest: Omit<Manifest, 'entries'>;
  readonly outgoing: readonly Outgoing[];
  readonly saved: readonly SavedProject[];
  /** Of all entries. */
  readonly bytes: number;
}

/** Why each chunk that cannot be read cannot, by its hash. */
export type Bad = ReadonlyMap<string, string>;

export async function planFile(
  context: StoreContext,
  request: ExportRequest,
  bad: Bad = new Map(),
): Promise<Plan> {
  const [plan, unreadable] = await context.unreadable.during(() =>
    planReadable(context, request, bad),
  );
  if (unreadable.length === 0) return plan;
  const lost = unreadable.map((record) => ({
    what: describeRecord(record),
    why: 'its record cannot be read',
  }));
  const contents = [...plan.manifest.contents, ...inWords(lost).map((line) => `not ${line}`)];
  const leftOut = [...plan.manifest.leftOut, ...lost];
  return { ...plan, manifest: { ...plan.manifest, format: 2, contents, leftOut } };
}

async function planReadable(
  context: StoreContext,
  request: ExportRequest,
  bad: Bad,
): Promise<Plan> {
  const { projects } = request;
  const [id, ...others] = projects === 'all' ? [] : projects;
  const alone = id !== undefined && others.length === 0;
  return alone && !(await isLocked(context, id))
    ? planProject(context, id, request, bad)
    : planArchive(context, request, bad);
}

async function planProject(
  context: StoreContext,
  id: Id,
  request: ExportRequest,
  known: Bad,
): Promise<Plan> {
  const { bundle, leftOut, bad, saved } = await readForFile(context, id, request, known);
  const contents = describeContents(withoutMissing(bundle, new Set(bad.keys())));
  const records = await entryOf(RECORDS, encodeRecords(bundle));
  return finished('terrarium-project', [saved], {
    contents,
    leftOut,
    outgoing: [records, ...outgoingChunks(context, bundleChunks(bundle), bad)],
    firstFormat: !needsSecondFormat(bundle) && leftOut.length === 0,
  });
}

async function planArchive(
  context: StoreContext,
  request: ExportRequest,
  known: Bad,
): Promise<Plan> {
  const { core } = context;
  const ids = await chosenProjects(context, request);
  const contents: string[] = [];
  const leftOut: LeftOut[] = [];
  const saved: SavedProject[] = [];
  const entries = new Map<string, Outgoing>();
  const add = (outgoing: Outgoing) => entries.set(outgoing.name, outgoing);
  const chunks = new Map<string, ChunkRef>();
  const addChunks = (refs: readonly ChunkRef[]) =>
    leaves(refs).forEach((ref) => chunks.set(ref.sha256, ref));
  let bad = known;
  const index: { projects: Index['projects'][number][]; settings: Record<string, unknown> } = {
    projects: [],
    settings: {},
  };
  const addBody = async (model: PretrainedModel) => {
    const missing = await badChunks(context, model.chunks, bad);
    bad = new Map([...bad, ...missing]);
    leftOut.push(
      ...damagedOf([{ what: `the pretrained model ${model.name}`, refs: model.chunks }], bad),
    );
    addChunks(model.chunks);
    add(await entryOf(`bodies/${model.id}.json`, encodeRecords(model)));
  };
  const sealed: Outgoing[] = [];
  for (const id of ids) {
    if (await isLocked(context, id)) {
      const locked = await planSealed(context, id);
      const print = await lockedFingerprint(context, id, locked.label);
      saved.push({ id, revision: 0, fingerprint: print });
      index.projects.push({ id, name: locked.label, sealed: true });
      contents.push(`“${locked.label}”: locked, as it lies sealed (${megabytes(locked.bytes)})`);
      sealed.push(...locked.outgoing);
      leftOut.push(...locked.leftOut);
      continue;
    }
    const read = await readForFile(context, id, request, bad);
    const { bundle } = read;
    bad = read.bad;
    leftOut.push(...read.leftOut);
    saved.push(read.saved);
    contents.push(describeProject(bundle));
    index.projects.push({ id, name: bundle.project.name, sealed: false });
    add(await entryOf(`projects/${id}.json`, encodeRecords(sharing(bundle))));
    for (const dataset of bundle.datasets) {
      const name = `datasets/${dataset.id}.json`;
      if (!entries.has(name)) contents.push(describeRows(dataset.manifest, dataset.rowsLeftOut));
      add(await entryOf(name, encodeRecords(dataset)));
    }
    for (const model of bundle.pretrained) {
      add(await entryOf(`bodies/${model.id}.json`, encodeRecords(model)));
    }
    addChunks(bundleChunks(bundle));
  }
  if (request.projects === 'all') {
    const bodies = await context.read('the pretrained models', [core.pretrained], () =>
      core.pretrained.toArray(),
    );
    for (const model of bodies) {
      if (!entries.has(`bodies/${model.id}.json`)) await addBody(model);
      contents.push(`the pretrained model ${model.name} (${megabytes(model.bytes)})`);
    }
    const settings = await context.read('the settings', [core.settings], () =>
      core.settings.bulkGet([...TRAVELLING]),
    );
    for (const row of settings) if (row) index.settings[row.key] = row.value;
    if (Object.keys(index.settings).length > 0) contents.push('how the Train screen is set');
  }
  return finished('terrarium-archive', saved, {
    contents,
    leftOut,
    outgoing: [
      await entryOf(INDEX, encodeRecords(index)),
      ...entries.values(),
      ...outgoingChunks(context, [...chunks.values()], bad),
      ...new Map(sealed.map((outgoing) => [outgoing.name, outgoing])).values(),
    ],
    firstFormat: false,
  });
}

function describeRows(
  { name, rows }: { readonly name: string; readonly rows: number },
  rowsLeftOut: boolean | undefined,
): string {
  return rowsLeftOut
    ? `column names, category names and number ranges of ${name}`
    : `all ${rows} rows of ${name}`;
}

/** All in the order in which they were made. */
async function chosenProjects(
  context: StoreContext,
  { projects, withTrash }: ExportRequest,
): Promise<readonly Id[]> {
  if (projects !== 'all') return projects;
  const { projects: table, vaults } = context.core;
  const rows = await context.read('the projects', [table, vaults], async () => [
    ...(await table.toArray()).filter(({ trashedAt }) => withTrash || trashedAt === null),
    ...(await vaults.toArray()).map((row) => ({ ...row, id: row.projectId })),
  ]);
  return rows.sort((a, b) => a.createdAt - b.createdAt).map(({ id }) => id);
}

async function isLocked(context: StoreContext, id: Id): Promise<boolean> {
  const { vaults, projects } = context.core;
  return context.read('the locks', [vaults, projects], async () => {
    return !(await projects.get(id)) && (await vaults.get(id)) !== undefined;
  });
}

// ---- a project, as much of it as there is ---------------------------------------------------------------------

interface ReadProject {
  readonly bundle: Bundle;
  readonly leftOut: readonly LeftOut[];
  readonly bad: Bad;
  readonly saved: SavedProject;
}

async function readForFile(
  context: StoreContext,
  id: Id,
  { withData, withTrash }: ExportRequest,
  known: Bad,
): Promise<ReadProject> {
  const all = await readBundle(context, id);
  const print = await fingerprint(all);
  const chosen = withTrash ? all : withoutTrash(all);
  const mended = withoutDangling(chosen);
  const bundle = withData ? mended : withoutRows(mended);
  const bad = new Map([...known, ...(await badChunks(context, bundleChunks(bundle), known))]);
  const leftOut = [
    ...context.damagedRecords.map((what) => ({
      what: `the record of ${what}`,
      why: 'it is not what was sealed in this browser',
    })),
    ...danglingRecords(chosen).map((what) => ({
      what,
      why: 'a record that it needs is not in this browser',
    })),
    ...damagedOf(ownedChunks(bundle), bad),
  ];
  const saved = { id, revision: all.project.revision, fingerprint: print };
  return { bundle, leftOut, bad, saved };
}

/** Known by the list of chunks alone. */
async function badChunks(
  { chunks }: StoreContext,
  refs: readonly ChunkRef[],
  known: Bad,
): Promise<Bad> {
  const missing = await chunks.missing(refs.flatMap((ref) => leaves([ref])));
  return new Map(
    missing
      .filter(({ sha256 }) => !known.has(sha256))
      .map((ref) => [ref.sha256, 'it is missing from this browser']),
  );
}

function damagedOf(
  owned: readonly { readonly what: string; readonly refs: readonly ChunkRef[] }[],
  bad: Bad,
): readonly LeftOut[] {
  return owned.flatMap(({ what, refs }) =>
    [...new Set(leaves(refs).map((ref) => ref.sha256))].flatMap((sha256) => {
      const why = bad.get(sha256);
      return why === undefined ? [] : [{ what, why, sha256 }];
    }),
  );
}

/** Every chunk of the plan read once: those that cannot be, and why. */
export async function findBad(plan: Plan, check: () => void): Promise<Bad> {
  const bad = new Map<string, string>();
  for (const { name, sha256, read } of plan.outgoing) {
    if (!name.startsWith('chunks/')) continue;
    check();
    try {
      await read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      bad.set(sha256, reasonOf(error));
    }
  }
  return bad;
}

/** The first sentence: what follows says what to do in this browser. */
function reasonOf(error: AppError): string {
  return error.message.split('. ')[0] ?? error.message;
}

// ---- entries --------------------------------------------------------------------------------------------------

function outgoingChunks(
  { chunks }: StoreContext,
  refs: readonly ChunkRef[],
  bad: Bad,
): readonly Outgoing[] {
  const unique = new Map(leaves(refs).map((ref) => [ref.sha256, ref]));
  return [...unique.values()]
    .filter(({ sha256 }) => !bad.has(sha256))
    .map((ref) => ({
      name: `chunks/${ref.sha256}`,
      sha256: ref.sha256,
      bytes: ref.bytes,
      read: async () => new Uint8Array(await chunks.get(ref)),
    }));
}

function needsSecondFormat(bundle: Bundle): boolean {
  return (
    bundleChunks(bundle).some(({ parts }) => parts !== undefined) ||
    bundle.models.some(({ trashedAt }) => trashedAt !== null)
  );
}

function finished(
  kind: Kind,
  saved: readonly SavedProject[],
  rest: {
    readonly contents: readonly string[];
    readonly leftOut: readonly LeftOut[];
    readonly outgoing: readonly Outgoing[];
    readonly firstFormat: boolean;
  },
): Plan {
  const { outgoing, leftOut } = rest;
  const contents = [...rest.contents, ...inWords(leftOut).map((line) => `not ${line}`)];
  return {
    manifest: { format: rest.firstFormat ? 1 : 2, kind, contents, leftOut },
    outgoing,
    saved,
    bytes: outgoing.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** Each thing once, however many of its chunks are bad. */
export function inWords(leftOut: readonly LeftOut[]): readonly string[] {
  const reasons = new Map(leftOut.map(({ what, why }) => [what, why]));
  return [...reasons].map(([what, why]) => `${what}: ${why}`);
}
