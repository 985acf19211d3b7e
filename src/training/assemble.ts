/**
 * The finished model: recipe graph + trained forward graph + what turns raw scores into an answer, as one ONNX
 * file. Classification answers `probabilities` beside `logits`; regression answers `prediction` in the target's
 * own units. The recipe comes in as a graph: fitting and compiling it is the business of the data side.
 */
import { AppError } from '../core/errors';
import { GraphBuilder } from '../onnx/builder';
import { concatGraphs, pruneUnused, renameValues, withInitializers } from '../onnx/compose';
import { attr } from '../onnx/graph';
import type { Graph } from '../onnx/graph';
import { canonicalJson } from '../core/hash';
import type { FittedRecipe, ModelSignature, TrainingConfig } from '../protocol/entities';
import type { Tensors } from './loop-types';

export const METADATA = { recipe: 'terrarium.recipe', signature: 'terrarium.signature' } as const;

export interface Assembled {
  readonly graph: Graph;
  readonly signature: ModelSignature;
}

/** `trained` may hold more than the weights (moments): what the forward graph does not name is left out. */
export function assembleModel(
  recipeGraph: Graph,
  forward: Graph,
  trained: Tensors,
  recipe: FittedRecipe,
  loss: TrainingConfig['loss'],
): Assembled {
  const weights = new Map([...trained].filter(([name]) => forward.initializers.has(name)));
  const learned = withoutDropout(withInitializers(forward, weights));
  const joined = concatGraphs(recipeGraph, learned, { features: 'features' }, { name: 'model' });
  const builder = GraphBuilder.from(joined, { dropOutputs: true });
  answer(builder, recipe, loss);
  const bare = pruneUnused(builder.build());
  const { target } = recipe;
  const signature: ModelSignature = {
    task: target.task,
    classes: target.task === 'classification' ? target.classes : [],
    inputs: bare.inputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    outputs: bare.outputs.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
  };
  const metadata = new Map([
    [METADATA.recipe, canonicalJson(recipe)],
    [METADATA.signature, canonicalJson(signature)],
  ]);
  return { graph: { ...bare, metadata }, signature };
}

function answer(
  builder: GraphBuilder,
  { target }: FittedRecipe,
  loss: TrainingConfig['loss'],
): void {
  if (target.task === 'regression') {
    const { mean, scale } = target;
    const scaled = builder.node('Mul', ['logits', builder.scalar(scale)]);
    const outputs = ['prediction'];
    builder.node('Add', [scaled, builder.scalar(mean)], {}, { outputs });
    builder.output('prediction', 'float32', ['batch', 1]);
    return;
  }
  const classes = target.classes.length;
  const outputs = ['probabilities'];
  if (loss === 'bce') {
    const second = builder.node('Sigmoid', ['logits']);
    const first = builder.node('Sub', [builder.scalar(1), second]);
    builder.node('Concat', [first, second], { axis: attr.int(1) }, { outputs });
  } else {
    builder.node('Softmax', ['logits'], { axis: attr.int(1) }, { outputs });
  }
  builder.output('probabilities', 'float32', ['batch', classes]);
  builder.output('logits', 'float32', ['batch', loss === 'bce' ? 1 : classes]);
}

/** Dropout does nothing once a model is trained; every reader of its output reads its input instead. */
function withoutDropout(graph: Graph): Graph {
  const source = new Map<string, string>();
  for (const { op, inputs, outputs } of graph.nodes) {
    const [input = ''] = inputs;
    const [output = ''] = outputs;
    if (op === 'Dropout') source.set(output, source.get(input) ?? input);
  }
  if (graph.outputs.some(({ name }) => source.has(name))) {
    throw new AppError('training/assemble', 'A model cannot end with Dropout. Remove that layer.');
  }
  return renameValues(
    { ...graph, nodes: graph.nodes.filter(({ op }) => op !== 'Dropout') },
    source,
  );
}
