/** Where pretrained bodies come from: beside the studio, in the store, or the files that a person picked. */
import { readSafetensors } from '../importers/safetensors';
import type { Safetensors } from '../importers/safetensors';
import { importKeras } from '../importers/keras/import';
import { AppError } from '../core/errors';
import { readModel } from '../onnx/reader';
import { writeModel } from '../onnx/writer';
import type { Graph } from '../onnx/graph';
import type { OnProgress, StoreApi } from '../protocol/api';
import type { PretrainedSource } from '../protocol/fine-tune';
import type { BackboneManifest, PretrainedFile } from '../protocol/pretrained';
import { readBase, verified } from './base';
import type { Base } from './base';
import type { Told } from './describe-base';

export interface BaseDependencies {
  /** A file of the studio's own, by its path under `static/`. */
  readonly readStatic: (path: string) => Promise<Blob>;
  readonly store: () => Pick<StoreApi, 'getPretrained' | 'getPretrainedFile'>;
}

export class Bases {
  readonly #parts: BaseDependencies;
  /** The last one stays: screens and runs ask for the same. */
  #kept: { readonly key: string; readonly base: Promise<Base> } | null = null;

  constructor(parts: BaseDependencies) {
    this.#parts = parts;
  }

  async backbone(id: string): Promise<BackboneManifest> {
    const blob = await this.#parts.readStatic(`backbones/${id}.json`);
    // Our own file, whose hash the build knows.
    return JSON.parse(await blob.text()) as BackboneManifest;
  }

  async told(source: PretrainedSource): Promise<Told> {
    if (source.kind === 'own') return {};
    const { input } = await this.backbone(source.id);
    const levels = (values: readonly number[]) => values.map((value) => value / 255);
    return { sizes: input.sizes, pixels: { mean: levels(input.mean), std: levels(input.std) } };
  }

  load(source: PretrainedSource): Promise<Base> {
    const key = source.kind === 'embedded' ? source.id : source.sha256;
    if (this.#kept?.key === key) return this.#kept.base;
    const base = source.kind === 'embedded' ? this.#embedded(source.id) : this.#own(source.sha256);
    this.#kept = { key, base };
    base.catch(() => {
      if (this.#kept?.base === base) this.#kept = null;
    });
    return base;
  }

  async #embedded(id: string): Promise<Base> {
    const { name, file, sha256 } = await this.backbone(id);
    const blob = await this.#parts.readStatic(`backbones/${file}`);
    const bytes = await verified(await blob.arrayBuffer(), sha256, name);
    return { graph: readBase(bytes), name, sha256 };
  }

  async #own(sha256: string): Promise<Base> {
    const store = this.#parts.store();
    const { name } = await store.getPretrained(sha256).catch((error: unknown) => {
      if (!(error instanceof AppError) || error.code !== 'store/not-found') throw error;
      throw new AppError(
        'pretrained/absent',
        `The pretrained model that this one starts from (${sha256.slice(0, 12)}) is not in this browser. Choose its file on the Model screen again.`,
        { sha256 },
      );
    });
    // The store has checked each piece.
    const bytes = new Uint8Array(await store.getPretrainedFile(sha256));
    return { graph: readBase(bytes), name, sha256 };
  }
}

export interface PickedModel {
  readonly name: string;
  readonly graph: Graph;
  /** What to keep: the file as it came, or the same model as one file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly told: Told;
}

/** Reads what a person picked, by what is among it: one way for each kind of export. */
export async function readPicked(
  files: readonly PretrainedFile[],
  onProgress: OnProgress,
): Promise<PickedModel> {
  onProgress({ label: 'Reading the model' });
  const named = (pattern: RegExp) => files.filter(({ path }) => pattern.test(path));
  const [onnx, another] = named(/\.onnx$/i);
  if (onnx && another) {
    throw new AppError(
      'pretrained/several',
      `There are several models: ${onnx.path} and ${another.path}. Choose the one to start from.`,
    );
  }
  if (onnx) return readOnnx(onnx, files);
  const [keras] = named(/(^|\/)model\.json$/i);
  if (keras) return readKeras(keras, files);
  const shown = files.map(({ path }) => path).slice(0, 3);
  throw new AppError(
    'pretrained/kind',
    `There is no model among what was chosen (${shown.join(', ')}). Choose an .onnx file, a folder with one and its weights, or a Keras export with its model.json.`,
  );
}

async function readOnnx(
  { path, file }: PretrainedFile,
  files: readonly PretrainedFile[],
): Promise<PickedModel> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const external = new Map<string, Uint8Array>();
  for (const other of files) {
    if (other.path === path || !other.path.startsWith(folder)) continue;
    external.set(other.path.slice(folder.length), new Uint8Array(await other.file.arrayBuffer()));
  }
  const graph = readModel(bytes, { external });
  const name = nameOf(path);
  // Weights beside the model come into it: what is kept is one file.
  return { name, graph, bytes: external.size === 0 ? bytes : writeModel(graph), told: {} };
}

async function readKeras(
  { path, file }: PretrainedFile,
  files: readonly PretrainedFile[],
): Promise<PickedModel> {
  const shards = new Map<string, Uint8Array>();
  let metadataJson: string | undefined;
  for (const other of files) {
    const name = other.path.slice(other.path.lastIndexOf('/') + 1);
    if (/\.bin$/i.test(name)) shards.set(name, new Uint8Array(await other.file.arrayBuffer()));
    if (/^metadata\.json$/i.test(name)) metadataJson = await other.file.text();
  }
  const modelJson = await file.text();
  const { graph, pixels } = importKeras({
    modelJson,
    shards,
    ...(metadataJson === undefined ? {} : { metadataJson }),
  });
  const folder = path.split('/').at(-2);
  const told = pixels ? { pixels: { mean: [pixels.mean / 255], std: [pixels.std / 255] } } : {};
  return { name: folder ?? 'Keras model', graph, bytes: writeModel(graph), told };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.onnx$/i, '');
}

/** The file of a LoRA run. */
export function readAdapter(bytes: ArrayBuffer): Safetensors {
  return readSafetensors(new Uint8Array(bytes));
}
