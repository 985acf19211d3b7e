/**
 * A Keras model (as TensorFlow.js and Teachable Machine save it) becomes an ONNX graph: layers in the order in
 * which their inputs are known, nested models walked through, weights found by name. Pictures go in with channels
 * first, as everywhere in the studio.
 */
import { AppError } from '../../core/errors';
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
  const outputs = walk.model(model, undefined);
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

class Walk {
  readonly #builder: GraphBuilder;
  readonly #weights: ReadonlyMap<string, Tensor>;

  constructor(builder: GraphBuilder, weights: ReadonlyMap<string, Tensor>) {
    this.#builder = builder;
    this.#weights = weights;
  }

  /** Outputs of a model; `given` are its inputs where it stands inside another. */
  model(model: ModelConfig, given: readonly Value[] | undefined): Value[] {
    return model.sequential ? [this.#sequence(model, given)] : this.#network(model, given);
  }

  #sequence(model: ModelConfig, given: readonly Value[] | undefined): Value {
    let value = given?.[0];
    for (const layer of model.layers) {
      if (layer.className === 'InputLayer') value ??= this.#input(layer);
      else {
        const nested = value === undefined && isModel(layer);
        const input = value ?? (nested ? undefined : this.#input(layer, model.buildInputShape));
        [value] = this.#layer(layer, input === undefined ? undefined : [input]);
      }
    }
    if (value === undefined) throw broken(`the model "${model.name}" has no layers`);
    return value;
  }

  #network(model: ModelConfig, given: readonly Value[] | undefined): Value[] {
    const made = new Map<string, Value>();
    const key = ({ layer, call, tensor }: Source) => `${layer}\n${call}\n${tensor}`;
    model.inputs.forEach((input, index) => {
      const layer = model.layers.find(({ name }) => name === input.layer);
      if (layer === undefined) throw broken(`its input layer "${input.layer}" is missing`);
      made.set(key(input), given?.[index] ?? this.#input(layer));
    });
    const open = model.layers.flatMap((layer) =>
      layer.calls.map((sources, call) => ({ layer, sources, call })),
    );
    // Layers are nearly always listed in order; where not, go round until nothing moves.
    for (let left = open; left.length > 0;) {
      const later: typeof left = [];
      for (const item of left) {
        const inputs = item.sources.map((source) => made.get(key(source)));
        if (inputs.includes(undefined)) later.push(item);
        else {
          const known = inputs.filter((input) => input !== undefined);
          this.#layer(item.layer, known).forEach((value, tensor) =>
            made.set(key({ layer: item.layer.name, call: item.call, tensor }), value),
          );
        }
      }
      if (later.length === left.length) {
        const names = later.map(({ layer }) => `"${layer.name}"`).slice(0, 5);
        throw broken(`the layers ${names.join(', ')} wait for inputs that no layer makes`);
      }
      left = later;
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

  #layer(layer: LayerConfig, inputs: readonly Value[] | undefined): Value[] {
    if (isModel(layer)) {
      const inner = { class_name: layer.className, config: layer.config };
      return this.model(readModel(inner, 1), inputs);
    }
    const emitLayer = LAYERS.get(layer.className);
    if (emitLayer === undefined) {
      throw new AppError(
        'import/keras-layer',
        `The layer "${layer.name}" is of the class ${layer.className}, which the studio does not read. ` +
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
    const ending = `/${layer}/${name}`;
    const found = [...this.#weights].filter(([key]) => key.endsWith(ending));
    if (found.length > 1) {
      throw broken(`${found.length} weights end in "${ending}"; give the layers different names`, {
        layer,
      });
    }
    return found[0]?.[1];
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
