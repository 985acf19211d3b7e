/** Reads the files that a person picked to start from, by what is among them: one way for each kind of export. */
import { buildBlueprint } from '../blueprints/build';
import { AppError } from '../core/errors';
import { importKeras } from '../importers/keras/import';
import { outputsOf, withWeightsOf } from '../importers/matching';
import { readSafetensors } from '../importers/safetensors';
import type { Graph } from '../onnx/graph';
import { readModel } from '../onnx/reader';
import { writeModel } from '../onnx/writer';
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
  const [weights] = named(/\.safetensors$/i);
  if (weights) return readWeights(weights, architecture);
  const shown = files.map(({ path }) => path).slice(0, 3);
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
    external.set(other.path.slice(folder.length), new Uint8Array(await other.file.arrayBuffer()));
  }
  // These bytes are used up, so that a large model is held once; what is kept comes from the file itself.
  const bytes = new Uint8Array(await file.arrayBuffer());
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
  return { name: folder ?? 'Keras model', graph, file: written(graph), told };
}

/** Weights alone do not say how they are connected: they are read into the architecture that the person set up. */
async function readWeights(
  { path, file }: PretrainedFile,
  architecture: Architecture | null,
): Promise<PickedModel> {
  const { tensors, metadata } = readSafetensors(new Uint8Array(await file.arrayBuffer()));
  if (metadata.has(ADAPTER_KEY)) {
    throw new AppError(
      'pretrained/adapter-file',
      `${path} is what a LoRA run learned, not a whole model. Import it under Versions.`,
    );
  }
  if (architecture === null) {
    throw new AppError(
      'pretrained/architecture',
      `${path} holds weights alone and does not say how they are connected. Choose a model of the studio's own on the Model screen, set it up as the file's model was, then choose the file under Pretrained again.`,
    );
  }
  const { blueprint, featureDims } = architecture;
  const build = (outputs: number): Graph =>
    buildBlueprint(blueprint, { featureDims, outputs, seed: 0 });
  // The old head goes away all the same, so it may know other classes.
  const plain = build(architecture.outputs);
  const last = plain.nodes.at(-1)?.inputs[1] ?? '';
  const outputs = outputsOf(tensors, last) ?? architecture.outputs;
  const graph = withWeightsOf(outputs === architecture.outputs ? plain : build(outputs), tensors);
  // As a blueprint of ours has its pictures; the person can say otherwise.
  const told = { pixels: { mean: [0], std: [1] } };
  return { name: nameOf(path), graph, file: written(graph), told };
}

function written(graph: Graph): Blob {
  return new Blob([writeModel(graph)]);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.(onnx|safetensors)$/i, '');
}
