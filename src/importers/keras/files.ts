/**
 * A Keras model as tfjs saves it (`model.json` and its shards; Teachable Machine adds `metadata.json`): parsed and
 * checked, still as Keras describes it. Shard names are looked up among the files that came along and nowhere else.
 */
import { sizeOf } from '../../core/dtype';
import { AppError } from '../../core/errors';
import { decodeNumbers } from '../../core/number-format';
import { shownValue } from '../../core/shown';
import type { Tensor } from '../../onnx/graph';
import { viewOf } from '../../onnx/tensor-wire';

export type Config = Readonly<Record<string, unknown>>;

export interface LayerConfig {
  readonly className: string;
  readonly name: string;
  readonly config: Config;
  /** Where its inputs come from, for each call of the layer; empty in a Sequential. */
  readonly calls: readonly (readonly Source[])[];
}

/** Output `tensor` of call `call` of a layer. */
export interface Source {
  readonly layer: string;
  readonly call: number;
  readonly tensor: number;
}

export interface ModelConfig {
  readonly sequential: boolean;
  readonly name: string;
  readonly layers: readonly LayerConfig[];
  readonly inputs: readonly Source[];
  readonly outputs: readonly Source[];
  readonly buildInputShape: unknown;
}

const NESTING = 8;
const LAYERS = 5_000;
/** Calls of the layers of one model, and inputs of one call. */
const CALLS = 20_000;
const SOURCES = 1_000;
/** Largest known Keras models have about a thousand weights. */
const WEIGHTS = 20_000;
const LONGEST_NAME = 500;

export function broken(what: string, data: Readonly<Record<string, unknown>> = {}): AppError {
  return new AppError(
    'import/keras',
    `This Keras model cannot be read: ${what}. Export it again as a TensorFlow.js layers model.`,
    data,
  );
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseJson(text: string, what: string): Readonly<Record<string, unknown>> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new AppError('import/keras', `${what} is not JSON. Export the model again.`, {}, error);
  }
  if (!isRecord(json)) throw broken(`${what} holds no object`);
  return json;
}

/** The model that `model.json` describes. */
export function modelConfig(json: Readonly<Record<string, unknown>>): ModelConfig {
  if (json['format'] === 'graph-model') {
    throw new AppError(
      'import/keras-graph-model',
      'This is a TensorFlow.js graph model: its layers were folded away, so it cannot learn here. Export it as a layers model, or to ONNX with tf2onnx.',
    );
  }
  const topology = json['modelTopology'];
  if (!isRecord(topology)) throw broken('model.json has no modelTopology');
  const config = topology['model_config'] ?? topology;
  return readModel(config, 0);
}

export function readModel(value: unknown, depth: number): ModelConfig {
  if (depth > NESTING) throw broken(`its models are nested more than ${NESTING} deep`);
  if (!isRecord(value)) throw broken('its model_config is not an object');
  const { class_name: className, config } = value;
  const sequential = className === 'Sequential';
  if (!sequential && className !== 'Model' && className !== 'Functional') {
    throw broken(
      `it is of the class ${shownValue(className)}; Sequential, Model and Functional are read`,
    );
  }
  // Old files keep a Sequential's layers as a bare list.
  const body = Array.isArray(config) ? { layers: config } : config;
  if (!isRecord(body) || !Array.isArray(body['layers'])) throw broken('it lists no layers');
  const layers: readonly unknown[] = body['layers'];
  if (layers.length > LAYERS) throw broken(`it has ${layers.length} layers`);
  const read = layers.map(readLayer);
  const calls = read.reduce((all, layer) => all + layer.calls.length, 0);
  if (calls > CALLS) throw broken(`its layers are called ${calls} times`);
  return {
    sequential,
    name: typeof body['name'] === 'string' ? body['name'] : 'model',
    layers: read,
    inputs: sequential ? [] : sources(body['input_layers']),
    outputs: sequential ? [] : sources(body['output_layers']),
    buildInputShape: body['build_input_shape'],
  };
}

function readLayer(value: unknown): LayerConfig {
  if (!isRecord(value)) throw broken('one of its layers is not an object');
  const { class_name: className, config, inbound_nodes: inbound } = value;
  if (typeof className !== 'string' || !isRecord(config)) {
    throw broken('one of its layers has no class or no configuration');
  }
  const name = value['name'] ?? config['name'];
  if (typeof name !== 'string' || name.length > LONGEST_NAME) {
    throw broken(`a layer of the class ${shownValue(className)} has no name, or a very long one`);
  }
  const calls = Array.isArray(inbound) ? inbound.map((call) => callSources(call)) : [];
  return { className, name, config, calls: calls.filter((call) => call.length > 0) };
}

/** `[[layer, call, tensor], …]`, or a single such triple. */
function sources(value: unknown): Source[] {
  if (!Array.isArray(value)) return [];
  if (typeof value[0] === 'string') return [source(value)];
  if (value.length > SOURCES) throw broken(`one of its layers has ${value.length} inputs`);
  return value.map(source);
}

function source(value: unknown): Source {
  if (Array.isArray(value)) {
    const [layer, call = 0, tensor = 0] = value as unknown[];
    if (typeof layer === 'string' && typeof call === 'number' && typeof tensor === 'number') {
      return { layer, call, tensor };
    }
  }
  throw broken('a layer names its inputs in an unknown way');
}

/** Keras 2 lists triples; Keras 3 hides them in `keras_history` of its arguments. */
function callSources(call: unknown): Source[] {
  if (Array.isArray(call)) return sources(call);
  const found: Source[] = [];
  const walk = (value: unknown, depth: number): void => {
    if (depth > NESTING) return;
    if (Array.isArray(value)) for (const item of value) walk(item, depth + 1);
    else if (isRecord(value)) {
      if (Array.isArray(value['keras_history'])) found.push(source(value['keras_history']));
      else for (const item of Object.values(value)) walk(item, depth + 1);
    }
  };
  walk(call, 0);
  return found;
}

/** Weights by the names in the manifest, as float32. */
export function readWeights(
  json: Readonly<Record<string, unknown>>,
  files: ReadonlyMap<string, Uint8Array>,
): Map<string, Tensor> {
  const manifest = json['weightsManifest'];
  if (!Array.isArray(manifest)) throw broken('model.json has no weightsManifest');
  const weights = new Map<string, Tensor>();
  const used = new Set<string>();
  for (const group of manifest as readonly unknown[]) {
    if (!isRecord(group) || !Array.isArray(group['paths']) || !Array.isArray(group['weights'])) {
      throw broken('a group of its weightsManifest lacks paths or weights');
    }
    const bytes = joined(group['paths'], files, used);
    let at = 0;
    for (const entry of group['weights'] as readonly unknown[]) {
      const { name, tensor, length } = readWeight(entry, bytes, at);
      weights.set(name, tensor);
      if (weights.size > WEIGHTS) throw broken(`it has more than ${WEIGHTS} weights`);
      at += length;
    }
    if (at !== bytes.length) {
      throw broken(`its weights take ${at} bytes and the shards hold ${bytes.length}`);
    }
  }
  return weights;
}

/** Each shard counts once: one that was named a thousand times would be a thousand times as large in memory. */
function joined(
  paths: readonly unknown[],
  files: ReadonlyMap<string, Uint8Array>,
  used: Set<string>,
): Uint8Array {
  const parts = paths.map((path) => {
    const name = shownValue(path).split('/').at(-1) ?? '';
    if (used.has(name)) throw broken(`it names the weights file "${name}" twice`);
    used.add(name);
    const file = files.get(name);
    if (file !== undefined) return file;
    throw new AppError(
      'import/keras-file',
      `The weights file "${name}", which model.json names, did not come along. Choose it together with model.json.`,
      { file: name },
    );
  });
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const STORED = {
  float32: 'float32',
  float16: 'float16',
  uint8: 'uint8',
  uint16: 'uint16',
} as const;

function readWeight(
  entry: unknown,
  bytes: Uint8Array,
  at: number,
): { name: string; tensor: Tensor; length: number } {
  if (!isRecord(entry)) throw broken('an entry of its weights is not an object');
  const { name, shape: dims, dtype, quantization } = entry;
  if (typeof name !== 'string' || name.length > LONGEST_NAME || !isShape(dims)) {
    throw broken('a weight has no name or no shape');
  }
  const stored = isRecord(quantization) ? quantization['dtype'] : dtype;
  const type = Object.entries(STORED).find(([key]) => key === stored)?.[1];
  if (type === undefined || (dtype !== 'float32' && dtype !== 'float16')) {
    throw broken(`the weight "${name}" is stored as ${shownValue(stored)}`, { weight: name });
  }
  const size = sizeOf(dims);
  const length = size * { float32: 4, float16: 2, uint8: 1, uint16: 2 }[type];
  if (at + length > bytes.length) {
    throw broken(`the shards end inside the weight "${name}"`, { weight: name });
  }
  const view = viewOf(type, bytes.subarray(at, at + length));
  if (view instanceof Float32Array)
    return { name, tensor: { dtype: 'float32', dims, data: view }, length };
  if (Array.isArray(view)) throw broken(`the weight "${name}" is text`);
  const numbers = decodeNumbers(type, view, dims);
  let data = Float32Array.from(numbers);
  if (type !== 'float16') {
    // Affine: stored * scale + min, as tfjs's converter writes it.
    const { scale, min } = isRecord(quantization) ? quantization : { scale: null, min: null };
    if (typeof scale !== 'number' || typeof min !== 'number') {
      throw broken(`the weight "${name}" lacks its quantisation scale`, { weight: name });
    }
    data = data.map((value) => value * scale + min);
  }
  return { name, tensor: { dtype: 'float32', dims, data }, length };
}

function isShape(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= 8 &&
    value.every((item) => Number.isSafeInteger(item) && item >= 0) &&
    Number.isSafeInteger(sizeOf(value as number[]))
  );
}
