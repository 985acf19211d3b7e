/** Reads the files that a person picked to start from, by what is among them: one way for each kind of export. */
import { buildBlueprint } from '../blueprints/build';
import { AppError } from '../core/errors';
import { shownValue } from '../core/shown';
import { refuseLarge, wholeFile, wholeText } from '../core/whole-file';
import { HEAD_BYTES, foreignModel } from '../importers/foreign';
import { importKeras } from '../importers/keras/import';
import { outputsOf, withWeightsOf } from '../importers/matching';
import { readSafetensors } from '../importers/safetensors';
import type { Graph } from '../onnx/graph';
import { readModel } from '../onnx/reader';
import { writeModel } from '../onnx/writer';
import { MODEL_LIMITS } from '../protocol/model-files';
import type { OnProgress } from '../protocol/progress';
import type { Architecture, PretrainedFile } from '../protocol/pretrained';
import type { Told } from './describe-base';

export interface PickedModel {
  readonly name: string;
  readonly graph: Graph;
  /** What to keep: the file as it came, or the same model as one file. */
  readonly file: Blob;
  readonly told: Told;
}

/** In the metadata of what a LoRA run learned. */
export const ADAPTER_KEY = 'terrarium.adapter';

/** @param architecture what a file of weights alone is read into; null where there is none */
export async function readPicked(
  files: readonly PretrainedFile[],
  architecture: Architecture | null,
  onProgress: OnProgress,
): Promise<PickedModel> {
  onProgress({ label: 'Reading the model' });
  refuseTooMany(files);
  const named = (pattern: RegExp) => files.filter(({ path }) => pattern.test(path));
  const [onnx, another] = named(/\.onnx$/i);
  if (onnx && another) {
    throw new AppError(
      'pretrained/several',
      `There are several models: ${shownValue(onnx.path)} and ${shownValue(another.path)}. Choose the one to start from.`,
    );
  }
  if (onnx) {
    await refuseForeign([onnx]);
    return readOnnx(onnx, files);
  }
  const [keras] = named(/(^|\/)model\.json$/i);
  if (keras) return readKeras(keras, files);
  const [weights] = named(/\.safetensors$/i);
  if (weights) {
    await refuseForeign([weights]);
    return readWeights(weights, architecture);
  }
  await refuseForeign(files);
  const shown = files.slice(0, 3).map(({ path }) => shownPath(path));
  throw new AppError(
    'pretrained/kind',
    `There is no model among what was chosen (${shown.join(', ')}). Choose an .onnx file, a folder with one and its weights, a Keras export with its model.json, or a .safetensors file.`,
  );
}

async function readOnnx(
  { path, file }: PretrainedFile,
  files: readonly PretrainedFile[],
): Promise<PickedModel> {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const external = new Map<string, Uint8Array>();
  for (const other of files) {
    if (other.path === path || !other.path.startsWith(folder)) continue;
    external.set(other.path.slice(folder.length), await bytesOf(other));
  }
  // These bytes are used up, so that a large model is held once; what is kept comes from the file itself.
  const bytes = await bytesOf({ path, file });
  const graph = readModel(bytes, { external, consume: true });
  // Weights beside the model come into it: what is kept is one file.
  const whole = external.size === 0 ? file : written(graph);
  return { name: nameOf(path), graph, file: whole, told: {} };
}

async function readKeras(
  { path, file }: PretrainedFile,
  files: readonly PretrainedFile[],
): Promise<PickedModel> {
  const shards = new Map<string, Uint8Array>();
  let metadataJson: string | undefined;
  for (const other of files) {
    const name = other.path.slice(other.path.lastIndexOf('/') + 1);
    if (/\.bin$/i.test(name)) shards.set(name, await bytesOf(other));
    if (/^metadata\.json$/i.test(name)) metadataJson = await jsonOf(other);
  }
  const modelJson = await jsonOf({ path, file });
  const { graph, pixels } = importKeras({
    modelJson,
    shards,
    ...(metadataJson === undefined ? {} : { metadataJson }),
  });
  const folder = path.split('/').at(-2);
  const told = pixels ? { pixels: { mean: [pixels.mean / 255], std: [pixels.std / 255] } } : {};
  return { name: folder ?? 'Keras model', graph, file: written(graph), told };
}

/** Weights alone do not say how they are connected: they are read into the architecture that the person set up. */
async function readWeights(
  { path, file }: PretrainedFile,
  architecture: Architecture | null,
): Promise<PickedModel> {
  const { tensors, metadata } = readSafetensors(await bytesOf({ path, file }));
  if (metadata.has(ADAPTER_KEY)) {
    throw new AppError(
      'pretrained/adapter-file',
      `${shownPath(path)} is what a LoRA run learned, not a whole model. Import it under Versions.`,
    );
  }
  if (architecture === null) {
    throw new AppError(
      'pretrained/architecture',
      `${shownPath(path)} holds weights alone and does not say how they are connected. Choose a model of the studio's own on the Model screen, set it up as the file's model was, then choose the file under Pretrained again.`,
    );
  }
  const { blueprint, featureDims } = architecture;
  const build = (outputs: number): Graph =>
    buildBlueprint(blueprint, { featureDims, outputs, seed: 0 });
  // The old head goes away all the same, so it may know other classes.
  const plain = build(architecture.outputs);
  const last = plain.nodes.at(-1)?.inputs[1] ?? '';
  const width = plain.initializers.get(last)?.dims[1] ?? 0;
  const outputs = outputsOf(tensors, last, width) ?? architecture.outputs;
  const graph = withWeightsOf(outputs === architecture.outputs ? plain : build(outputs), tensors);
  // As a blueprint of ours has its pictures; the person can say otherwise.
  const told = { pixels: { mean: [0], std: [1] } };
  return { name: nameOf(path), graph, file: written(graph), told };
}

/** Before anything is read: a folder that holds a model may hold everything else, too. */
function refuseTooMany(files: readonly PretrainedFile[]): void {
  if (files.length > MODEL_LIMITS.files) {
    throw new AppError(
      'file/too-large',
      `There are ${files.length} files; a model has at most ${MODEL_LIMITS.files}. Choose only the model and its weights.`,
      { files: files.length, limit: MODEL_LIMITS.files },
    );
  }
  const bytes = files.reduce((all, { file }) => all + file.size, 0);
  refuseLarge(bytes, MODEL_LIMITS.bytes, 'What was chosen');
}

/** Says what a file is where its first bytes tell, whatever its name says. */
async function refuseForeign(files: readonly PretrainedFile[]): Promise<void> {
  for (const { path, file } of files.slice(0, 20)) {
    const head = await wholeFile(file.slice(0, HEAD_BYTES), HEAD_BYTES, shownPath(path));
    const words = foreignModel(new Uint8Array(head), path);
    if (words !== null) {
      throw new AppError('pretrained/foreign', `${shownPath(path)} ${words}`, { path });
    }
  }
}

async function bytesOf({ path, file }: PretrainedFile): Promise<Uint8Array> {
  return new Uint8Array(await wholeFile(file, MODEL_LIMITS.bytes, shownPath(path)));
}

function jsonOf({ path, file }: PretrainedFile): Promise<string> {
  return wholeText(file, MODEL_LIMITS.json, shownPath(path));
}

function shownPath(path: string): string {
  return shownValue(path.slice(path.lastIndexOf('/') + 1));
}

function written(graph: Graph): Blob {
  return new Blob([writeModel(graph)]);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.(onnx|safetensors)$/i, '');
}
