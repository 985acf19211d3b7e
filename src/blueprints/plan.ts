/**
 * A blueprint as a list of layers with shapes and costs: pure arithmetic, light enough for the page, and the one
 * truth from which build.ts makes the graph. Shapes are of one example, without the batch axis.
 */
import { sizeOf } from '../core/dtype';
import { AppError } from '../core/errors';
import type { Activation, OwnBlueprint } from '../protocol/entities';
import { checkBlueprint } from './limits';

interface Common {
  /** Prefix of node and weight names: `block1.conv`. */
  readonly name: string;
  readonly inputDims: readonly number[];
  readonly outputDims: readonly number[];
}

export type Layer = Common &
  (
    | { readonly op: 'Flatten' }
    | { readonly op: 'Gemm'; readonly feeds: Activation | 'logits' }
    | { readonly op: 'Conv'; readonly bias: boolean }
    | { readonly op: 'BatchNormalization' }
    | { readonly op: 'Relu' | 'Tanh' | 'Sigmoid' | 'Gelu' }
    | { readonly op: 'MaxPool' | 'AveragePool' }
    | { readonly op: 'GlobalAveragePool' }
    | { readonly op: 'Dropout'; readonly ratio: number }
  );

export interface LayerDescription {
  readonly name: string;
  readonly op: Layer['op'];
  readonly inputDims: readonly number[];
  readonly outputDims: readonly number[];
  /** Trainable numbers. */
  readonly weights: number;
  /** Running statistics: stored with the model, not trained. */
  readonly statistics: number;
  /** Multiply-adds for one example. */
  readonly multiplyAdds: number;
}

const ACTIVATION_OP = { relu: 'Relu', tanh: 'Tanh', sigmoid: 'Sigmoid', gelu: 'Gelu' } as const;

/** The layers in order; the last one is the Gemm that makes the logits. */
export function planBlueprint(
  config: OwnBlueprint,
  featureDims: readonly number[],
  outputs: number,
): readonly Layer[] {
  checkBlueprint(config);
  checkFeatures(featureDims, outputs);
  const layers: Layer[] = [];
  let dims = featureDims;
  const add = (layer: LayerOf, outputDims: readonly number[] = dims): void => {
    layers.push({ ...layer, inputDims: dims, outputDims });
    dims = outputDims;
  };
  const flatten = (): void => {
    if (dims.length > 1) add({ name: 'flatten', op: 'Flatten' }, [sizeOf(dims)]);
  };
  const dense = (name: string, width: number, activation: Activation, dropout: number): void => {
    const op = ACTIVATION_OP[activation];
    add({ name, op: 'Gemm', feeds: activation }, [width]);
    add({ name: `${name}.${activation}`, op });
    if (dropout > 0) add({ name: `${name}.dropout`, op: 'Dropout', ratio: dropout });
  };

  if (config.kind === 'linear') {
    flatten();
  } else if (config.kind === 'mlp') {
    flatten();
    for (const [index, width] of config.hidden.entries()) {
      dense(`dense${index + 1}`, width, config.activation, config.dropout);
    }
  } else {
    for (const [index, channels] of config.channels.entries()) {
      const name = `block${index + 1}`;
      const [height, width] = imageSize(dims);
      add({ name: `${name}.conv`, op: 'Conv', bias: !config.batchNorm }, [channels, height, width]);
      if (config.batchNorm) add({ name: `${name}.bn`, op: 'BatchNormalization' });
      add({ name: `${name}.relu`, op: 'Relu' });
      if (height < 2 || width < 2) throw tooSmall(name, height, width);
      add({ name: `${name}.pool`, op: config.pool === 'max' ? 'MaxPool' : 'AveragePool' }, [
        channels,
        Math.floor(height / 2),
        Math.floor(width / 2),
      ]);
    }
    if (config.globalPool) {
      add({ name: 'global_pool', op: 'GlobalAveragePool' }, [dims[0] ?? 0, 1, 1]);
    }
    flatten();
    if (config.dense > 0) dense('dense1', config.dense, 'relu', config.dropout);
    else if (config.dropout > 0) {
      add({ name: 'head.dropout', op: 'Dropout', ratio: config.dropout });
    }
  }
  add({ name: 'output', op: 'Gemm', feeds: 'logits' }, [outputs]);
  return layers;
}

/** Layer without its shapes, for each member of the union. */
type LayerOf = Layer extends infer L
  ? L extends Layer
    ? Omit<L, 'inputDims' | 'outputDims'>
    : never
  : never;

/** What the Model screen shows, layer by layer. Throws like `planBlueprint` when the blueprint does not fit. */
export function describeBlueprint(
  config: OwnBlueprint,
  featureDims: readonly number[],
  outputs: number,
): readonly LayerDescription[] {
  return planBlueprint(config, featureDims, outputs).map((layer) => {
    const { name, op, inputDims, outputDims } = layer;
    return { name, op, inputDims, outputDims, ...costOf(layer) };
  });
}

function costOf(layer: Layer): Pick<LayerDescription, 'weights' | 'statistics' | 'multiplyAdds'> {
  const [into = 0] = layer.inputDims;
  const [out = 0, height = 1, width = 1] = layer.outputDims;
  switch (layer.op) {
    case 'Gemm':
      return { weights: into * out + out, statistics: 0, multiplyAdds: into * out };
    case 'Conv': {
      const kernel = into * out * 9;
      return {
        weights: kernel + (layer.bias ? out : 0),
        statistics: 0,
        multiplyAdds: kernel * height * width,
      };
    }
    case 'BatchNormalization':
      return { weights: 2 * out, statistics: 2 * out, multiplyAdds: out * height * width };
    default:
      return { weights: 0, statistics: 0, multiplyAdds: 0 };
  }
}

/** Sums for the line under the blocks; bytes are those of the float32 file's numbers. */
export function totalsOf(layers: readonly LayerDescription[]): {
  readonly weights: number;
  readonly bytes: number;
  readonly multiplyAdds: number;
} {
  let weights = 0;
  let statistics = 0;
  let multiplyAdds = 0;
  for (const layer of layers) {
    weights += layer.weights;
    statistics += layer.statistics;
    multiplyAdds += layer.multiplyAdds;
  }
  return { weights, bytes: (weights + statistics) * 4, multiplyAdds };
}

function checkFeatures(featureDims: readonly number[], outputs: number): void {
  const whole = [...featureDims, outputs].every((dim) => Number.isSafeInteger(dim) && dim > 0);
  if (featureDims.length === 0 || !whole) {
    throw new AppError(
      'blueprint/no-features',
      `A model needs at least one feature and one output; it has features [${featureDims.join(', ')}] and ${outputs} outputs. Switch a column on.`,
      { featureDims, outputs },
    );
  }
}

function imageSize(dims: readonly number[]): [height: number, width: number] {
  const [, height, width] = dims;
  if (dims.length !== 3 || height === undefined || width === undefined) {
    throw new AppError(
      'blueprint/needs-image',
      `A CNN looks at pictures, but the features have shape [${dims.join(', ')}]. Choose the linear or the MLP blueprint.`,
      { featureDims: dims },
    );
  }
  return [height, width];
}

function tooSmall(block: string, height: number, width: number): AppError {
  return new AppError(
    'blueprint/too-small',
    `The picture is only ${height} × ${width} when it reaches ${block}, too small to halve again. Remove a block.`,
    { block, height, width },
  );
}
