/**
 * Blueprint -> forward Graph: input `features`, output `logits`, seeded initialisers. Dropout and
 * BatchNormalization are the standard's inference nodes; learning rewrites them (autodiff).
 *
 * Initialisation: He et al. 2015 ("Delving Deep into Rectifiers", std = sqrt(2 / fan in)) before relu and gelu,
 * Glorot and Bengio 2010 (std = sqrt(2 / (fan in + fan out))) before the others; biases 0.
 */
import { sizeOf } from '../core/dtype';
import { normals } from '../core/philox';
import { GraphBuilder } from '../onnx/builder';
import { attr } from '../onnx/graph';
import type { Dim, Graph, Tensor } from '../onnx/graph';
import type { Activation, OwnBlueprint } from '../protocol/entities';
import { planBlueprint } from './plan';
import type { Layer } from './plan';

export interface BuildOptions {
  /** Shape of one example: [F] or [C, H, W]. */
  readonly featureDims: readonly number[];
  /** Classes, or 1. */
  readonly outputs: number;
  readonly seed: number;
  /** Length of the batch axis; symbolic unless a program wants it fixed. */
  readonly batch?: Dim;
}

/** Share of the old running statistics that a step keeps (ONNX momentum). */
const BATCH_NORM_MOMENTUM = 0.9;
const BATCH_NORM_EPSILON = 1e-5;

export function buildBlueprint(config: OwnBlueprint, options: BuildOptions): Graph {
  const { featureDims, outputs, seed, batch = 'batch' } = options;
  const layers = planBlueprint(config, featureDims, outputs);
  const builder = new GraphBuilder(config.kind);
  let value = builder.input('features', 'float32', [batch, ...featureDims]);
  for (const layer of layers) value = emit(builder, layer, value, seed);
  builder.output(value, 'float32', [batch, outputs]);
  return builder.build();
}

function emit(builder: GraphBuilder, layer: Layer, input: string, seed: number): string {
  const { name, inputDims, outputDims } = layer;
  const [into = 0] = inputDims;
  const [out = 0] = outputDims;
  switch (layer.op) {
    case 'Gemm': {
      // [out, in], as PyTorch stores it: one row for each unit, so that a scale per channel is one per row.
      const weight = builder.initializer(
        `${name}.weight`,
        randomTensor(`${name}.weight`, [out, into], into, out, layer.feeds, seed),
      );
      const bias = builder.initializer(`${name}.bias`, filled([out], 0));
      return builder.node(
        'Gemm',
        [input, weight, bias],
        { transB: attr.int(1) },
        { name: `${name}.gemm`, outputs: [layer.feeds === 'logits' ? 'logits' : `${name}_out`] },
      );
    }
    case 'Conv': {
      const weight = builder.initializer(
        `${name}.weight`,
        randomTensor(`${name}.weight`, [out, into, 3, 3], into * 9, out * 9, 'relu', seed),
      );
      const bias = layer.bias ? [builder.initializer(`${name}.bias`, filled([out], 0))] : [];
      return builder.node(
        'Conv',
        [input, weight, ...bias],
        { kernel_shape: attr.ints([3, 3]), pads: attr.ints([1, 1, 1, 1]) },
        { name },
      );
    }
    case 'BatchNormalization':
      return builder.node(
        'BatchNormalization',
        [
          input,
          builder.initializer(`${name}.scale`, filled([out], 1)),
          builder.initializer(`${name}.bias`, filled([out], 0)),
          builder.initializer(`${name}.running_mean`, filled([out], 0)),
          builder.initializer(`${name}.running_var`, filled([out], 1)),
        ],
        { epsilon: attr.float(BATCH_NORM_EPSILON), momentum: attr.float(BATCH_NORM_MOMENTUM) },
        { name },
      );
    case 'MaxPool':
    case 'AveragePool':
      return builder.node(
        layer.op,
        [input],
        { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) },
        { name },
      );
    case 'Flatten':
      return builder.node('Flatten', [input], { axis: attr.int(1) }, { name });
    case 'Dropout':
      return builder.node('Dropout', [input, builder.scalar(layer.ratio)], {}, { name });
    default:
      return builder.node(layer.op, [input], {}, { name });
  }
}

function randomTensor(
  name: string,
  dims: readonly number[],
  fanIn: number,
  fanOut: number,
  feeds: Activation | 'logits',
  seed: number,
): Tensor {
  const rectifier = feeds === 'relu' || feeds === 'gelu';
  const deviation = Math.sqrt(2 / (rectifier ? fanIn : fanIn + fanOut));
  return {
    dtype: 'float32',
    dims,
    data: normals(sizeOf(dims), deviation, seed, `init:${name}`),
  };
}

function filled(dims: readonly number[], value: number): Tensor {
  return { dtype: 'float32', dims, data: new Float32Array(sizeOf(dims)).fill(value) };
}
