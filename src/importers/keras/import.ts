/**
 * A Keras model (as TensorFlow.js and Teachable Machine save it) becomes an ONNX graph: layers in the order in
 * which their inputs are known, nested models walked through, weights found by name. Pictures go in with channels
 * first, as everywhere in the studio.
 */
import { AppError } from '../../core/errors';
import { shownValue } from '../../core/shown';
import { GraphBuilder } from '../../onnx/builder';
import type { Dim, Graph, Tensor } from '../../onnx/graph';
import { broken, modelConfig, parseJson, readModel, readWeights } from './files';
import type { Config, LayerConfig, ModelConfig, Source } from './files';
import { LAYERS } from './layers';
import { emit } from './values';
import type { LayerContext, Length, Value } from './values';

export interface KerasFiles {
  readonly modelJson: string;
  /** Shards by file name. */
  readonly shards: ReadonlyMap<string, Uint8Array>;
  /** Teachable Machine's metadata.json. */
  readonly metadataJson?: string;
}

export interface ImportedKeras {
  readonly graph: Graph;
  /** Class names, where the export names them. */
  readonly labels: readonly string[] | null;
  /** What the model expects of a pixel from 0 to 255, where the export says so: (pixel - mean) / std. */
  readonly pixels: { readonly mean: number; readonly std: number } | null;
}

/** @throws AppError `import/keras…` naming layer and reason */
export function importKeras({ modelJson, shards, metadataJson }: KerasFiles): ImportedKeras {
  const json = parseJson(modelJson, 'model.json');
  const model = modelConfig(json);
  const builder = new GraphBuilder(model.name);
  const walk = new Walk(builder, readWeights(json, shards));
  const outputs = walk.model(model, undefined, 0);
  for (const { name, shape } of outputs) builder.output(name, 'float32', onnxDims(shape));
  const metadata = metadataJson === undefined ? {} : parseJson(metadataJson, 'metadata.json');
  const { labels } = metadata;
  const named =
    Array.isArray(labels) && labels.every((label): label is string => typeof label === 'string');
  // Teachable Machine's image models all take pixels from -1 to 1.
  const teachable = 'tmVersion' in metadata || 'tfjsVersion' in metadata;
  return {
    graph: builder.build(),
    labels: named ? labels : null,
    pixels: teachable && 'imageSize' in metadata ? { mean: 127.5, std: 127.5 } : null,
  };
}

function onnxDims(shape: readonly Length[]): Dim[] {
  const names = ['height', 'width', 'channels'];
  const dims = shape.map(
    (length, axis) => length ?? (shape.length === 3 ? (names[axis] ?? '') : `axis_${axis + 1}`),
  );
  if (dims.length !== 3) return ['batch', ...dims];
  const [height = '', width = '', channels = ''] = dims;
  return ['batch', channels, height, width];
}

/** Layers written out, nested models each time that they are called. */
const MOST_LAYERS = 10_000;

/** What Keras keeps as Python code (marshalled or by reference) in the model's file. */
const RUNS_CODE = new Set(['Lambda', 'TFOpLambda', 'SlicingOpLambda']);

interface Call {
  readonly layer: LayerConfig;
  readonly sources: readonly Source[];
  readonly call: number;
}

class Walk {
  readonly #builder: GraphBuilder;
  readonly #weights: ReadonlyMap<string, Tensor>;
  /** Weights by what stands behind each slash of their names. */
  readonly #endings = new Map<string, Tensor[]>();
  #emitted = 0;

  constructor(builder: GraphBuilder, weights: ReadonlyMap<string, Tensor>) {
    this.#builder = builder;
    this.#weights = weights;
    for (const [name, tensor] of weights) {
      for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) {
        const ending = name.slice(at + 1);
        const known = this.#endings.get(ending);
        if (known) known.push(tensor);
        else this.#endings.set(ending, [tensor]);
      }
    }
  }

  /** Outputs of a model; `given` are its inputs where it stands inside `depth` others. */
  model(model: ModelConfig, given: readonly Value[] | undefined, depth: number): Value[] {
    return model.sequential
      ? [this.#sequence(model, given, depth)]
      : this.#network(model, given, depth);
  }

  #sequence(model: ModelConfig, given: readonly Value[] | undefined, depth: number): Value {
    let value = given?.[0];
    for (const layer of model.layers) {
      if (layer.className === 'InputLayer') value ??= this.#input(layer);
      else {
        const nested = value === undefined && isModel(layer);
        const input = value ?? (nested ? undefined : this.#input(layer, model.buildInputShape));
        [value] = this.#layer(layer, input === undefined ? undefined : [input], depth);
      }
    }
    if (value === undefined) throw broken(`the model "${model.name}" has no layers`);
    return value;
  }

  #network(model: ModelConfig, given: readonly Value[] | undefined, depth: number): Value[] {
    const made = new Map<string, Value>();
    const key = ({ layer, call, tensor }: Source) => `${layer}\n${call}\n${tensor}`;
    const layers = new Map(model.layers.map((layer) => [layer.name, layer]));
    model.inputs.forEach((input, index) => {
      const layer = layers.get(input.layer);
      if (layer === undefined) throw broken(`its input layer "${input.layer}" is missing`);
      made.set(key(input), given?.[index] ?? this.#input(layer));
    });
    // Layers are nearly always listed in order; a call that comes too early waits for the first input that it lacks.
    const waiting = new Map<string, Call[]>();
    let open = 0;
    const ready = model.layers
      .flatMap((layer) => layer.calls.map((sources, call): Call => ({ layer, sources, call })))
      .reverse();
    for (let item = ready.pop(); item; item = ready.pop()) {
      const lacking = item.sources.find((source) => !made.has(key(source)));
      if (lacking !== undefined) {
        const queue = waiting.get(key(lacking));
        if (queue) queue.push(item);
        else waiting.set(key(lacking), [item]);
        open++;
        continue;
      }
      const { layer, call } = item;
      const inputs = item.sources.flatMap((source) => made.get(key(source)) ?? []);
      this.#layer(layer, inputs, depth).forEach((value, tensor) => {
        const name = key({ layer: layer.name, call, tensor });
        made.set(name, value);
        const released = waiting.get(name) ?? [];
        waiting.delete(name);
        open -= released.length;
        ready.push(...released.reverse());
      });
    }
    if (open > 0) {
      const names = [...waiting.values()].flat().map(({ layer }) => `"${layer.name}"`);
      throw broken(
        `the layers ${names.slice(0, 5).join(', ')} wait for inputs that no layer makes`,
      );
    }
    return model.outputs.map((output) => {
      const value = made.get(key(output));
      if (value === undefined) throw broken(`no layer makes its output "${output.layer}"`);
      return value;
    });
  }

  #input(layer: LayerConfig, fallback?: unknown): Value {
    const shape = inputShape(layer.config) ?? withoutBatch(fallback);
    if (shape === undefined) {
      throw broken(`the layer "${layer.name}" does not say which shape goes in`, {
        layer: layer.name,
      });
    }
    const isInput = layer.className === 'InputLayer';
    const name = this.#builder.freeName(isInput ? layer.name : `${layer.name}_input`);
    this.#builder.input(name, 'float32', onnxDims(shape));
    return { name, shape };
  }

  #layer(layer: LayerConfig, inputs: readonly Value[] | undefined, depth: number): Value[] {
    if (isModel(layer)) {
      const inner = { class_name: layer.className, config: layer.config };
      return this.model(readModel(inner, depth + 1), inputs, depth + 1);
    }
    // A model that is called ten times inside one that is called ten times …
    if (++this.#emitted > MOST_LAYERS) {
      throw broken(`its models come to more than ${MOST_LAYERS} layers when they are written out`);
    }
    if (RUNS_CODE.has(layer.className)) {
      throw new AppError(
        'import/keras-code',
        `The layer "${shownValue(layer.name)}" is a ${layer.className}: a program inside the model file, which the studio never runs. Build the model without it, or convert it to ONNX with tf2onnx.`,
        { layer: layer.name, className: layer.className },
      );
    }
    const emitLayer = LAYERS.get(layer.className);
    if (emitLayer === undefined) {
      throw new AppError(
        'import/keras-layer',
        `The layer "${shownValue(layer.name)}" is of the class ${shownValue(layer.className)}, which the studio does not read. ` +
          'Convert the model to ONNX with tf2onnx instead.',
        { layer: layer.name, className: layer.className },
      );
    }
    const context: LayerContext = {
      layer,
      inputs: inputs ?? [],
      builder: this.#builder,
      weight: (name) => this.#weight(layer.name, name),
    };
    const value = emitLayer(context);
    const [input] = context.inputs;
    // A layer that does nothing must not make a graph input a graph output.
    const through = value.name === input?.name && this.#builder.isInput(value.name);
    return [through ? { ...value, name: emit(context, 'Identity', [value.name]) } : value];
  }

  /** Keras may put the names of the models around a layer in front. */
  #weight(layer: string, name: string): Tensor | undefined {
    const exact = this.#weights.get(`${layer}/${name}`);
    if (exact !== undefined) return exact;
    const found = this.#endings.get(`${layer}/${name}`) ?? [];
    if (found.length > 1) {
      throw broken(
        `${found.length} weights end in "/${layer}/${name}"; give the layers different names`,
        {
          layer,
        },
      );
    }
    return found[0];
  }
}

function isModel({ className }: LayerConfig): boolean {
  return className === 'Sequential' || className === 'Model' || className === 'Functional';
}

function inputShape(config: Config): Length[] | undefined {
  return withoutBatch(
    config['batch_input_shape'] ?? config['batch_shape'] ?? config['batchInputShape'],
  );
}

function withoutBatch(value: unknown): Length[] | undefined {
  if (!Array.isArray(value) || value.length > 4) return undefined;
  const shape: unknown[] = value.slice(1);
  const good = shape.every(
    (item): item is Length => item === null || (Number.isSafeInteger(item) && Number(item) > 0),
  );
  return good ? shape : undefined;
}
