/**
 * What the studio makes of any file, for `npm run probe`: taken for what the screens would take it for, read by the same
 * workers, and told in words. Whatever it stores, it stores in the profile of the tool's own browser, which is thrown away.
 */
import { AppError } from '../core/errors';
import { wholeText } from '../core/whole-file';
import type { PictureSource } from '../protocol/api';
import type { FittedRecipe } from '../protocol/entities';
import { encodeError } from '../protocol/errors';
import type { WireError } from '../protocol/errors';
import { parseJobText } from '../protocol/job';
import { MODEL_LIMITS } from '../protocol/model-files';
import { openStudio } from './studio';
import type { Studio } from './studio';

export type TakenFor = 'table' | 'pictures' | 'picture' | 'model' | 'project' | 'job';

/** What an accepted file holds. */
export type Facts = Readonly<Record<string, unknown>>;

export interface ProbeAnswer {
  readonly takenFor: TakenFor;
  readonly milliseconds: number;
  readonly verdict:
    | { readonly accepted: true; readonly facts: Facts }
    | { readonly accepted: false; readonly error: WireError };
}

const HEAD_BYTES = 512;
const PICTURE = /\.(jpe?g|jfif|png|webp|gif|bmp|avif|svgz?|hei[cf]|tiff?|psd)$/i;
const MODEL =
  /\.(onnx|safetensors|pt|pth|pkl|pickle|joblib|h5|hdf5|keras|pb|tflite|gguf|ckpt|npz)$/i;

/** By content where it is plain, by name where it is not. */
export async function takenFor(files: readonly File[]): Promise<TakenFor> {
  const [file] = files;
  if (!file) throw new AppError('probe/no-file', 'Give a file.');
  const paths = files.map(pathOf);
  if (paths.some((path) => MODEL.test(path) || /(^|\/)model\.json$/i.test(path))) return 'model';
  if (files.length > 1 || paths[0]?.includes('/')) return 'pictures';
  const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (/\.terrarium$/i.test(file.name)) return 'project';
  if (text.startsWith('PK\x03\x04')) {
    if (/\.(xlsx?|ods|docx|numbers)$/i.test(file.name)) return 'table';
    // Our own archives begin with their manifest.
    return text.slice(30).startsWith('manifest.json') ? 'project' : 'pictures';
  }
  const picture =
    /^(\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM[^,;\t\r\n]{4}\0\0\0\0|....ftyp(avi|hei|mif))/s;
  if (picture.test(text) || PICTURE.test(file.name)) return 'picture';
  if (/^\s*\{/.test(text) && /\.json$/i.test(file.name)) {
    const whole = file.size <= MODEL_LIMITS.job ? await file.text() : '';
    if (/"modelTopology"/.test(whole)) return 'model';
    if (/"format"\s*:/.test(whole) && /"data"\s*:/.test(whole)) return 'job';
  }
  return 'table';
}

/** `folder/class/name.jpg` where the file came with its folder. */
function pathOf(file: File): string {
  return file.webkitRelativePath === '' ? file.name : file.webkitRelativePath;
}

const quiet = (): void => undefined;
const CALL = 'probe';
/** A picture is shown to a model that wants it so. */
const SMALL_PICTURE: FittedRecipe = {
  format: 1,
  input: { type: 'images', channels: 3, height: 32, width: 32 },
  featureDims: [3, 32, 32],
  target: { task: 'classification', column: 'label', classes: ['a', 'b'] },
};

const READERS: Readonly<
  Record<TakenFor, (studio: Studio, files: readonly File[]) => Promise<Facts>>
> = {
  async table(studio, [file]) {
    if (!file) return {};
    const { name } = file;
    const { dataset, understood, findings } = await studio.importTable(
      CALL,
      file,
      { name, kind: 'file' },
      quiet,
    );
    const { manifest } = dataset;
    if (manifest.type !== 'table') return {};
    const columns = manifest.columns.map(({ name: column, kind }) => `${column} (${kind})`);
    return {
      rows: manifest.rows,
      columns: columns.length,
      kinds: columns.slice(0, 8),
      understood,
      findings: findings.length,
    };
  },
  async pictures({ data }, files) {
    const [file] = files;
    const zip = files.length === 1 && file?.webkitRelativePath === '' ? file : null;
    const source: PictureSource = zip
      ? { kind: 'zip', file: zip }
      : { kind: 'files', files: files.map((each) => ({ path: pathOf(each), file: each })) };
    const survey = await data.surveyPictures(CALL, source, quiet);
    const options = {
      name: 'probe',
      size: 32,
      fit: 'crop',
      folders: 'auto',
      unlabelled: null,
    } as const;
    const { dataset } = await data.importPictures(CALL, source, options, quiet);
    const { manifest } = dataset;
    if (manifest.type !== 'images') return {};
    return {
      pictures: manifest.rows,
      classes: manifest.classes,
      leftOut: manifest.intake?.leftOutCount ?? 0,
      reasons: (manifest.intake?.leftOut ?? [])
        .slice(0, 5)
        .map(({ name, reason }) => `${name}: ${reason}`),
      smallestSide: survey.smallestSide,
    };
  },
  async picture({ data }, [file]) {
    if (!file) return {};
    await data.readPicture(CALL, file, SMALL_PICTURE);
    return { bytes: file.size };
  },
  async model(studio, files) {
    const [only] = files;
    if (files.length === 1 && only && /\.onnx$/i.test(only.name)) {
      const { weights, operators, signature, problems } = await studio.inspectModel(only);
      // As when it is imported.
      if (problems.length > 0) {
        throw new AppError('model/refused', `${only.name} cannot be used: ${problems.join(' ')}`);
      }
      return {
        operators: operators.map(({ op, count }) => `${op} x ${count}`),
        weights,
        inputs: signature.inputs.map(port),
        outputs: signature.outputs.map(port),
      };
    }
    const picked = files.map((each) => ({ path: pathOf(each), file: each }));
    const { summary } = await studio.workers.data.readPretrained(CALL, picked, null, quiet);
    return {
      parameters: summary.parameters,
      inputs: summary.inputs.map(port),
      outputs: summary.outputs.map(port),
      blockers: summary.runBlockers.map(({ reason }) => reason),
    };
  },
  async project({ store }, [file]) {
    if (!file) return {};
    const { name } = await store.importProject(file);
    return { name };
  },
  async job(_, [file]) {
    if (!file) return {};
    const job = parseJobText(await wholeText(file, MODEL_LIMITS.job, file.name));
    return { data: job.data, blueprint: job.blueprint?.kind ?? 'by the data' };
  },
};

function port({
  name,
  dtype,
  dims,
}: {
  name: string;
  dtype: string;
  dims: readonly unknown[];
}): string {
  return `${name}: ${dtype} [${dims.join(', ')}]`;
}

async function probe(studio: Studio, files: readonly File[]): Promise<ProbeAnswer> {
  const kind = await takenFor(files);
  const started = performance.now();
  const done = () => Math.round(performance.now() - started);
  try {
    const facts = await READERS[kind](studio, files);
    return { takenFor: kind, milliseconds: done(), verdict: { accepted: true, facts } };
  } catch (error) {
    return {
      takenFor: kind,
      milliseconds: done(),
      verdict: { accepted: false, error: encodeError(error) },
    };
  }
}

declare global {
  var terrariumProbe: ((files: readonly File[]) => Promise<ProbeAnswer>) | undefined;
}

/** Makes probing callable from the tool that drives this page (tools/probe.mjs). */
export function installProbeHook(): void {
  let studio: Studio | null = null;
  globalThis.terrariumProbe = (files) => probe((studio ??= openStudio()), files);
}
