/**
 * A fitted recipe as an ONNX graph from raw inputs to `features`, so that serving cannot skew from training.
 * numeric [batch, F] float32, NaN missing     -> impute, centre, scale
 * categorical [batch, C] int64, 0 missing, 1 other, 2... vocabulary -> one feature each (one-hot)
 * image [batch, C, H, W] uint8                -> float32 in 0...1, resized, grey made RGB, normalised
 */
import { DTYPE_CODE } from '../../core/dtype';
import { GraphBuilder } from '../../onnx/builder';
import { attr } from '../../onnx/graph';
import { pictureDims } from './pictures';
import type { CategoricalFeature, FittedRecipe, NumericFeature } from '../../protocol/entities';
import type { Graph } from '../../onnx/graph';
import type { ImageInput } from './pictures';

export const RAW_INPUTS = {
  numeric: 'numeric',
  categorical: 'categorical',
  image: 'image',
} as const;

/** Codes before the vocabulary: missing, other. */
export const RESERVED_CODES = 2;

export function compileRecipe(recipe: FittedRecipe): Graph {
  const builder = new GraphBuilder('recipe');
  const output = { outputs: ['features'] };
  if (recipe.input.type === 'images') {
    prepared(builder, recipe.input);
  } else {
    const { numeric, categorical } = recipe.input;
    const parts: string[] = [];
    if (numeric.length > 0) parts.push(standardised(builder, numeric));
    if (categorical.length > 0) parts.push(...oneHot(builder, categorical));
    builder.node('Concat', parts, { axis: attr.int(1) }, output);
  }
  builder.output('features', 'float32', ['batch', ...recipe.featureDims]);
  return builder.build();
}

/** The last of the steps is named `features`. */
function prepared(builder: GraphBuilder, input: ImageInput): void {
  const { resize, channelsTo, mean, std } = input;
  const dims = ['batch', input.channels, input.height, input.width];
  const image = builder.input(RAW_INPUTS.image, 'uint8', dims);
  const [channels] = pictureDims(input);
  const byChannel = (figures: readonly number[]): string =>
    builder.constant('float32', [1, figures.length, 1, 1], figures);
  type Step = (value: string, options: { outputs?: string[] }) => string;
  const steps: Step[] = [
    (value, options) => builder.node('Div', [value, builder.scalar(255)], {}, options),
  ];
  if (resize) {
    const sizes = builder.constant('int64', [2], [resize.height, resize.width]);
    const how = {
      mode: attr.string('linear'),
      coordinate_transformation_mode: attr.string('half_pixel'),
      // By axes, so that the batch's size need not be known.
      axes: attr.ints([2, 3]),
    };
    steps.push((value, options) => builder.node('Resize', [value, '', '', sizes], how, options));
  }
  if (channelsTo !== undefined) {
    steps.push((value, options) =>
      builder.node('Concat', Array<string>(channels).fill(value), { axis: attr.int(1) }, options),
    );
  }
  if (mean)
    steps.push((value, options) => builder.node('Sub', [value, byChannel(mean)], {}, options));
  if (std)
    steps.push((value, options) => builder.node('Div', [value, byChannel(std)], {}, options));
  let value = builder.node('Cast', [image], { to: attr.int(DTYPE_CODE.float32) });
  steps.forEach((step, index) => {
    value = step(value, index === steps.length - 1 ? { outputs: ['features'] } : {});
  });
}

function standardised(builder: GraphBuilder, features: readonly NumericFeature[]): string {
  const row = (values: readonly number[]): string =>
    builder.constant('float32', [values.length], values);
  const numeric = builder.input(RAW_INPUTS.numeric, 'float32', ['batch', features.length]);
  const gaps = builder.node('IsNaN', [numeric]);
  const impute = row(features.map((feature) => feature.impute));
  const whole = builder.node('Where', [gaps, impute, numeric]);
  const centred = builder.node('Sub', [whole, row(features.map((feature) => feature.mean))]);
  return builder.node('Div', [centred, row(features.map((feature) => feature.scale))]);
}

function oneHot(builder: GraphBuilder, features: readonly CategoricalFeature[]): string[] {
  const codes = builder.input(RAW_INPUTS.categorical, 'int64', ['batch', features.length]);
  const offOn = builder.constant('float32', [2], [0, 1]);
  return features.map(({ vocabulary }, index) => {
    const column = builder.constant('int64', [], [index]);
    const code = builder.node('Gather', [codes, column], { axis: attr.int(1) }); // [batch]
    const depth = builder.constant('int64', [], [vocabulary.length + RESERVED_CODES]);
    return builder.node('OneHot', [code, depth, offOn]); // [batch, depth]
  });
}
