/**
 * Opening: the list, then every record and every byte of data are checked against their hashes before the first is
 * written. Then project by project: data first, records in one transaction last. A crash leaves projects that are
 * whole, and data that nothing names, which the next start removes.
 */
import { AppError } from '../../core/errors';
import type { ArchivedProject, ArchiveSummary, Imported } from '../../protocol/backup';
import type { ChunkRef, Id, Project } from '../../protocol/entities';
import type { OnProgress } from '../../protocol/progress';
import type { PretrainedModel } from '../../protocol/pretrained';
import { bundleChunks, copyBundle, insertBundle } from '../bundle';
import type { Bundle } from '../bundle';
import { leaves } from '../chunks';
import type { StoreContext } from '../context';
import { isActive } from '../run-status';
import type { Call } from './calls';
import { checkBody, checkBundle } from './check-bundle';
import { openContainer } from './container';
import type { Opened } from './container';
import { withoutMissing } from './leaving-out';
import { inWords } from './plan';
import { INDEX, RECORDS, readBody, readIndex, readRecords, readSharing } from './records';
import type { Index } from './records';
import { damaged, refused } from './refusals';
import { importSealed, readSealedFile, sealedName } from './sealed';
import { wholeHash } from './whole-hash';
import type { Source } from './zip-read';

interface Archive {
  readonly opened: Opened;
  readonly index: Index;
  /** Hashes of chunks that the file says it lacks. */
  readonly missing: ReadonlySet<string>;
  bundle(projectId: Id): Promise<Bundle>;
  /** Pretrained models in it, whether a project starts from them or not. */
  readonly bodies: readonly Id[];
}

async function openArchive(source: Source): Promise<Archive> {
  const opened = await openContainer(source);
  const { kind, leftOut } = opened.manifest;
  const read = (name: string) => opened.read(name);
  const missing = new Set(leftOut.flatMap(({ sha256 }) => (sha256 === undefined ? [] : [sha256])));
  if (kind === 'terrarium-project') {
    const bundle = await readRecords(read);
    const { id, name } = bundle.project;
    const index = { projects: [{ id, name, sealed: false }], settings: {} };
    return { opened, index, missing, bodies: [], bundle: () => Promise.resolve(bundle) };
  }
  const bodies = [...opened.entries.keys()].flatMap((name) => {
    const [, id] = /^bodies\/([0-9a-f]{64})\.json$/.exec(name) ?? [];
    return id === undefined ? [] : [id];
  });
  const index = await readIndex(read);
  return { opened, index, missing, bodies, bundle: (id) => readSharing(read, id) };
}

export async function summarise(source: Source): Promise<ArchiveSummary> {
  const { opened, index } = await openArchive(source);
  const { kind, contents, leftOut } = opened.manifest;
  return {
    kind: kind === 'terrarium-project' ? 'project' : 'archive',
    bytes: source.size,
    contents,
    leftOut: inWords(leftOut),
    projects: index.projects,
  };
}

export async function importFrom(
  context: StoreContext,
  source: Source,
  chosen: readonly Id[] | null,
  call: Call,
  onProgress: OnProgress,
): Promise<Imported> {
  context.assertWritable();
  const archive = await openArchive(source);
  const wanted = archive.index.projects.filter(({ id }) => chosen?.includes(id) ?? true);
  await checkEverything(archive, source, call, onProgress);
  const writer = new Writer(context, archive, call, onProgress);
  const projects: Project[] = [];
  const sealed: ArchivedProject[] = [];
  const notes = [...inWords(archive.opened.manifest.leftOut)];
  for (const one of wanted) {
    if (!one.sealed) projects.push(await writer.project(one.id));
    else if (await writer.sealed(one.id, chosen !== null)) sealed.push(one);
    else notes.push(`the locked project “${one.name}” is here already and was not touched`);
  }
  if (chosen === null) {
    for (const id of archive.bodies) await writer.body(id);
    await writer.settings();
  }
  return { projects, sealed, notes };
}

// ---- the dry pass ---------------------------------------------------------------------------------------------

async function checkEverything(
  archive: Archive,
  source: Source,
  call: Call,
  onProgress: OnProgress,
): Promise<void> {
  const { opened, index, missing } = archive;
  const { entries, manifest } = opened;
  const bytesOf = (sha256: string) =>
    missing.has(sha256) ? null : entries.get(`chunks/${sha256}`)?.bytes;
  for (const sha256 of missing) {
    if (entries.has(`chunks/${sha256}`)) {
      throw refused(`chunks/${sha256}`, 'is there, and said to be left out');
    }
  }
  const many = manifest.kind === 'terrarium-archive';
  const accounted = new Set([many ? INDEX : RECORDS]);
  const hashed = new Set<string>();
  let done = 0;
  const say = (bytes: number) => {
    call.check();
    done += bytes;
    onProgress({
      label: 'Checking',
      done: Math.min(done, source.size),
      total: source.size,
      unit: 'bytes',
    });
  };
  const checkWhole = async (refs: readonly ChunkRef[], sha256: string, what: string) => {
    const pieces = leaves(refs);
    pieces.forEach((ref) => accounted.add(`chunks/${ref.sha256}`));
    if (hashed.has(sha256)) return;
    hashed.add(sha256);
    const whole = pieces.length > 1 && pieces.every((ref) => !missing.has(ref.sha256));
    const hash = whole ? await wholeHash() : null;
    for (const piece of pieces) {
      if (missing.has(piece.sha256)) continue;
      const bytes = await opened.read(`chunks/${piece.sha256}`);
      hash?.update(bytes);
      say(bytes.length);
    }
    if (pieces.length === 0 || (pieces.length === 1 && pieces[0]?.sha256 !== sha256)) {
      throw damaged(`${what} does not match its hash`);
    }
    if (hash && hash.hex() !== sha256) throw damaged(`the pieces of ${what} do not match its hash`);
  };
  const checkBodyWhole = async (model: PretrainedModel) => {
    if (many) accounted.add(`bodies/${model.id}.json`);
    await checkWhole(model.chunks, model.id, `the pretrained model “${model.name}”`);
  };
  for (const { id, sealed } of index.projects) {
    if (sealed) {
      accounted.add(sealedName(id));
      const file = await readSealedFile((name) => opened.read(name), id);
      for (const { sha256, bytes } of file.chunks) {
        const ref = { sha256, storageKey: sha256, bytes };
        if (bytesOf(sha256) !== bytes) throw damaged(`chunks/${sha256} of a lock is missing`);
        await checkWhole([ref], sha256, 'a sealed chunk');
      }
      continue;
    }
    const bundle = await archive.bundle(id);
    if (many) {
      accounted.add(`projects/${id}.json`);
      bundle.datasets.forEach((row) => accounted.add(`datasets/${row.id}.json`));
    }
    await checkBundle(bundle, bytesOf);
    for (const model of bundle.pretrained) await checkBodyWhole(model);
    for (const ref of bundleChunks(bundle)) {
      await checkWhole([ref], ref.sha256, `the chunk ${ref.sha256.slice(0, 12)}`);
    }
  }
  for (const id of archive.bodies) {
    const model = await readBody((name) => opened.read(name), id);
    checkBody(model, bytesOf);
    await checkBodyWhole(model);
  }
  for (const name of entries.keys()) {
    if (!accounted.has(name)) throw damaged(`no record names its entry ${name}`);
  }
}

// ---- writing --------------------------------------------------------------------------------------------------

class Writer {
  readonly #context: StoreContext;
  readonly #archive: Archive;
  readonly #call: Call;
  readonly #onProgress: OnProgress;
  #done = 0;
  readonly #total: number;
  /** Chunks of projects that came before are there already. */
  readonly #written = new Set<string>();

  constructor(context: StoreContext, archive: Archive, call: Call, onProgress: OnProgress) {
    this.#context = context;
    this.#archive = archive;
    this.#call = call;
    this.#onProgress = onProgress;
    this.#total = archive.opened.manifest.entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async project(id: Id): Promise<Project> {
    const context = this.#context;
    const whole = withoutMissing(await this.#archive.bundle(id), this.#archive.missing);
    const bundle = (await isHere(context, whole))
      ? await copyBundle(whole, context.now(), whole.project.name)
      : withoutCheckpoints(whole);
    return this.#withChunks(bundleChunks(bundle), () => insertBundle(context, bundle));
  }

  /** false where it is here already; with `asked`, that is an error. */
  async sealed(id: Id, asked: boolean): Promise<boolean> {
    this.#call.check();
    try {
      await importSealed(this.#context, this.#archive.opened, id, (bytes) => this.#say(bytes));
      return true;
    } catch (error) {
      if (!asked && error instanceof AppError && error.code === 'vault/exists') return false;
      throw error;
    }
  }

  /** One that no project starts from. */
  async body(id: Id): Promise<void> {
    const model = await readBody((name) => this.#archive.opened.read(name), id);
    const { pretrained } = this.#context.core;
    if (leaves(model.chunks).some(({ sha256 }) => this.#archive.missing.has(sha256))) return;
    if (await this.#context.read('a pretrained model', [pretrained], () => pretrained.get(id))) {
      return;
    }
    const what = `The model “${model.name}”`;
    await this.#withChunks(model.chunks, () =>
      this.#context.publish(what, model.chunks, () =>
        this.#context.write(what, [pretrained], () => pretrained.put(model)),
      ),
    );
  }

  /** Only where nothing was set here. */
  async settings(): Promise<void> {
    const { settings } = this.#context.core;
    const rows = Object.entries(this.#archive.index.settings);
    if (rows.length === 0) return;
    await this.#context.write('the settings', [settings], async () => {
      for (const [key, value] of rows) {
        if (!(await settings.get(key))) await settings.put({ key, value });
      }
    });
  }

  async #withChunks<T>(refs: readonly ChunkRef[], publish: () => Promise<T>): Promise<T> {
    const { chunks } = this.#context;
    const written: ChunkRef[] = [];
    try {
      for (const { sha256 } of leaves(refs)) {
        if (this.#written.has(sha256)) continue;
        this.#call.check();
        const bytes = await this.#archive.opened.read(`chunks/${sha256}`);
        this.#say(bytes.length);
        // Exactly, because the entry is a window behind its header.
        written.push(await chunks.putWhole(bytes.slice().buffer));
        this.#written.add(sha256);
      }
      this.#call.check();
      return await publish();
    } catch (error) {
      await this.#context.tidy(this.#context.discard(written));
      throw error;
    }
  }

  #say(bytes: number): void {
    this.#done += bytes;
    this.#onProgress({ label: 'Storing', done: this.#done, total: this.#total, unit: 'bytes' });
  }
}

/** Its id, or that of one of its records, is taken: by itself, or by a copy of it. */
async function isHere(context: StoreContext, bundle: Bundle): Promise<boolean> {
  const { projects, runs, models, evaluations, vaults, writers } = context.core;
  const { id } = bundle.project;
  const tables = [projects, runs, models, evaluations, vaults, writers];
  return context.read('what is here', tables, async () => {
    const found = [
      await projects.get(id),
      await vaults.get(id),
      await writers.get(id),
      ...(await runs.bulkGet(bundle.runs.map((row) => row.id))),
      ...(await models.bulkGet(bundle.models.map((row) => row.id))),
      ...(await evaluations.bulkGet(bundle.evaluations.map((row) => row.id))),
    ];
    return found.some((row) => row !== undefined);
  });
}

/** Checkpoints stay with the browser that made them: a run without an end has none to go on from. */
function withoutCheckpoints(bundle: Bundle): Bundle {
  return {
    ...bundle,
    runs: bundle.runs.map((run) =>
      isActive(run.status) || run.status === 'interrupted' ? { ...run, status: 'stopped' } : run,
    ),
  };
}
