/**
 * From a forward graph to the graphs a Run executes: one that learns and one that validates, over the same State.
 * Trainable weights and running statistics, initialisers in the forward graph, become inputs bound to State.
 */
import { AppError, invariant } from '../core/errors';
import { sizeOf } from '../core/dtype';
import { purposeHash } from '../core/philox';
import { GraphBuilder } from '../onnx/builder';
import { attr, TRAINING_DOMAIN } from '../onnx/graph';
import type { Attribute, Graph, Node, Tensor } from '../onnx/graph';
import type { OptimiserConfig, TaskType } from '../protocol/entities';
import type { StateSpec } from '../engine/executor';
import { differentiate } from '../autodiff/differentiate';
import { recompute } from '../autodiff/recompute';
import { pruneUnused } from '../onnx/compose';
import { floatAttribute } from '../ops/attributes';
import { DROPOUT_KEY, DROPOUT_KEY_WORDS } from '../ops/DropoutMask/spec';
import { infer, staticType } from '../ops/infer-shapes';
import type { Inference } from '../ops/infer-shapes';
import { numbersOf } from '../ops/value';
import type { LossName } from './objective';
import { addLossSums, addRowLoss, addTrainingLoss, checkLossFits } from './objective';
import { addToSums, startApplying, sumSpecs } from './accumulate';
import { addLossScale, LOSS_SCALE, scaleSpecs } from './loss-scale';
import { addOptimiser, guardStatistics } from './update';

export interface LossOptions {
  readonly task: TaskType;
  readonly loss: LossName;
  readonly batchSize: number;
  /** Names of the initialisers that learn; without it every weight does. */
  readonly trainable?: readonly string[];
  /** Whether batch norms whose scale learns go on adapting their statistics (the default) or keep them. */
  readonly batchNorm?: 'frozen' | 'train';
}

export interface TrainingOptions extends LossOptions {
  readonly optimiser: OptimiserConfig;
  /** Makes each gradient (before clipping) a readable output `<weight>/grad`. */
  readonly withGradients?: boolean;
  /** Adds the input `learning_rate_factors`: a vector to be fed, one number for each of `weights`; 0 lets one rest. */
  readonly withFactors?: boolean;
  /** Most bytes of forward values to keep for the backward pass; more are computed a second time instead. */
  readonly activationBytes?: number;
  /** Micro-batches of a step; `batchSize` is then the rows of one of them. */
  readonly accumulate?: number;
  /** With a first loss scale the loss is scaled up before it is differentiated, by as much as float16 bears. */
  readonly lossScale?: number;
}

/** A graph with what becomes of its values. */
export interface StepGraph {
  readonly graph: Graph;
  /** State entry -> graph output that replaces it. */
  readonly updates: ReadonlyMap<string, string>;
  /** Readable outputs: losses, gradient norm, step number, and gradients where asked for. */
  readonly outputs: readonly string[];
}

/** The graph of a whole step, or of the end of one whose gradients `micro` has added up, micro-batch by micro-batch. */
export interface TrainingGraph extends StepGraph {
  readonly micro: StepGraph | null;
  readonly stateSpecs: readonly StateSpec[];
  readonly initialState: ReadonlyMap<string, Float32Array>;
  /** Names of the weights that learn, in the optimiser's order. */
  readonly weights: readonly string[];
  /** Running statistics that adapt to the rows: each micro-batch is normalised by itself. */
  readonly statistics: readonly string[];
}

export interface ValidationGraph {
  readonly graph: Graph;
  readonly outputs: readonly string[];
}

/** Scalars that the graph with the optimiser is fed. */
const STEP_FEEDS = ['learning_rate', 'step', 'clip_norm'] as const;

/** Graph input of the learning-rate factors. */
export const FACTORS_INPUT = 'learning_rate_factors';

/** The feed of `learning_rate_factors`; a weight that is not named learns at the full rate. */
export function factorsFeed(
  weights: readonly string[],
  factors: ReadonlyMap<string, number>,
): Float32Array {
  return Float32Array.from(weights, (name) => factors.get(name) ?? 1);
}

interface Roles {
  readonly weights: readonly string[];
  /** Running statistics of the batch norms that learn. */
  readonly statistics: readonly string[];
}

function isNorm(node: Node): boolean {
  return node.op === 'BatchNormalization' && node.domain === '';
}

/** Which initialisers learn, and which running statistics go with them. */
function rolesOf(forward: Graph, { trainable, batchNorm = 'train' }: LossOptions): Roles {
  const norms = forward.nodes.filter(isNorm);
  const allStatistics = new Set(norms.flatMap((node) => node.inputs.slice(3, 5)));
  const ratios = new Set(
    forward.nodes.filter(({ op }) => op === 'Dropout').map(({ inputs }) => inputs[1]),
  );
  // Names from GraphBuilder.constant: numbers of the formula, not weights.
  const isWeight = (name: string, tensor: Tensor) =>
    tensor.dtype === 'float32' &&
    !allStatistics.has(name) &&
    !ratios.has(name) &&
    !/^const_\d+$/.test(name);
  const weights =
    trainable ??
    [...forward.initializers]
      .filter(([name, tensor]) => isWeight(name, tensor))
      .map(([name]) => name);
  for (const name of weights) {
    if (forward.initializers.get(name)?.dtype !== 'float32') {
      throw new AppError(
        'training/weight',
        `"${name}" cannot learn: the model has no float32 weight of that name.`,
        { name },
      );
    }
  }
  if (weights.length === 0) {
    throw new AppError('training/weight', 'The model has no weights to learn.');
  }
  const learning = new Set(weights);
  // A norm whose scale is frozen keeps the statistics it came with.
  const adapting = (node: Node) =>
    batchNorm === 'train' &&
    learning.has(node.inputs[1] ?? '') &&
    node.inputs.slice(3, 5).every((name) => forward.initializers.get(name)?.dtype === 'float32');
  const statistics = norms.filter(adapting).flatMap((node) => node.inputs.slice(3, 5));
  return { weights, statistics: [...new Set(statistics)] };
}

function float32Of(forward: Graph, name: string): { dims: readonly number[]; data: Float32Array } {
  const tensor = forward.initializers.get(name);
  invariant(tensor?.data instanceof Float32Array, `The initialiser "${name}" is not float32.`);
  return { dims: tensor.dims, data: tensor.data };
}

/** A builder with the feeds and State inputs of a learning or validating graph, still without nodes. */
function startGraph(forward: Graph, roles: Roles, options: LossOptions, suffix: string) {
  const features = forward.inputs.find(({ name }) => name === 'features');
  if (
    forward.inputs.length !== 1 ||
    !features ||
    !forward.outputs.some(({ name }) => name === 'logits')
  ) {
    throw new AppError(
      'training/graph',
      'A model that learns needs one input "features" and an output "logits".',
      { inputs: forward.inputs.map(({ name }) => name) },
    );
  }
  const { types, constants } = infer(forward, { batch: options.batchSize });
  const logitsDims = staticType(types, 'logits').dims;
  checkLossFits(options.task, options.loss, logitsDims);
  const builder = new GraphBuilder(`${forward.name}/${suffix}`);
  builder.input('features', features.dtype, staticType(types, 'features').dims);
  // One label for each row of logits: an example, or a token of it.
  const [rows = 0] = logitsDims;
  if (options.task === 'classification') builder.input('labels', 'int32', [rows]);
  else builder.input('labels', 'float32', [rows, 1]);
  builder.input('sample_weight', 'float32', [rows]);
  const held = new Set([...roles.weights, ...roles.statistics]);
  for (const name of held) builder.input(name, 'float32', float32Of(forward, name).dims);
  for (const [name, tensor] of forward.initializers) {
    if (!held.has(name)) builder.initializer(name, tensor);
  }
  return { builder, types, constants, logitsDims };
}

function copyNode(builder: GraphBuilder, node: Node, change: Partial<Node> = {}): void {
  const { op, domain, inputs, outputs, attributes, name } = { ...node, ...change };
  builder.nodes(op, inputs, outputs.length, Object.fromEntries(attributes), {
    domain,
    name,
    outputs,
  });
}

/** Dropout's ratio: input 1 since opset 12, an attribute before; 0.5 where neither is given. */
function dropoutRatio(constants: ReadonlyMap<string, Tensor>, node: Node): number {
  const tensor = constants.get(node.inputs[1] ?? '');
  return tensor ? (numbersOf(tensor)[0] ?? 0.5) : floatAttribute(node, 'ratio', 0.5);
}

function addDropout(
  builder: GraphBuilder,
  { types, constants }: Pick<Inference, 'types' | 'constants'>,
  node: Node,
): void {
  const [x = ''] = node.inputs;
  const ratio = dropoutRatio(constants, node);
  const outputs = node.outputs.slice(0, 1);
  if (ratio === 0) {
    copyNode(builder, node, { op: 'Identity', inputs: [x], outputs, attributes: new Map() });
    return;
  }
  const { dims } = staticType(types, x);
  if (!builder.isInput(DROPOUT_KEY)) builder.input(DROPOUT_KEY, 'int32', [DROPOUT_KEY_WORDS]);
  const attributes = {
    dims: attr.ints(dims),
    ratio: attr.float(ratio),
    purpose: attr.int(purposeHash(`dropout:${node.name}`)),
  };
  builder.origin = node.name;
  const mask = builder.node('DropoutMask', [DROPOUT_KEY], attributes, {
    domain: TRAINING_DOMAIN,
    outputs: [`${node.name}/mask`],
  });
  builder.origin = undefined;
  copyNode(builder, node, {
    op: 'DropoutTrain',
    domain: TRAINING_DOMAIN,
    inputs: [x, mask],
    outputs,
    attributes: new Map(),
  });
}

/** A batch norm that keeps its statistics, also where the file was exported while it learned. */
function asInference(node: Node): Partial<Node> {
  const attributes = new Map(node.attributes);
  attributes.delete('training_mode');
  return { attributes, outputs: node.outputs.slice(0, 1) };
}

/** BatchNormTrain in place of a batch norm. Returns the values of its new running statistics. */
function addNorm(builder: GraphBuilder, node: Node): readonly [string, string] {
  const [y = ''] = node.outputs;
  const statistics = [`${node.name}/new_mean`, `${node.name}/new_var`] as const;
  const attributes = new Map<string, Attribute>([
    ['epsilon', attr.float(floatAttribute(node, 'epsilon', 1e-5))],
    ['momentum', attr.float(floatAttribute(node, 'momentum', 0.9))],
  ]);
  copyNode(builder, node, {
    op: 'BatchNormTrain',
    domain: TRAINING_DOMAIN,
    outputs: [y, `${node.name}/batch_mean`, `${node.name}/inv_std`, ...statistics],
    attributes,
  });
  return statistics;
}

/** Forward pass, loss, gradients and running statistics, as a graph that still lacks its outputs. */
function learn(forward: Graph, roles: Roles, options: TrainingOptions, suffix: string) {
  const { lossScale, activationBytes } = options;
  const accumulates = suffix === 'accumulate';
  const { builder, logitsDims, ...known } = startGraph(forward, roles, options, suffix);
  for (const scalar of accumulates ? ['micro_step'] : STEP_FEEDS) {
    builder.input(scalar, 'float32', []);
  }
  const newStatistics = new Map<string, string>();
  for (const node of forward.nodes) {
    if (node.op === 'Dropout' && node.domain === '') {
      addDropout(builder, known, node);
    } else if (isNorm(node) && roles.statistics.includes(node.inputs[3] ?? '')) {
      addNorm(builder, node).forEach((value, index) =>
        newStatistics.set(node.inputs[3 + index] ?? '', value),
      );
    } else {
      copyNode(builder, node, isNorm(node) ? asInference(node) : {});
    }
  }
  const loss = addTrainingLoss(builder, options.loss, {
    logits: 'logits',
    logitsDims,
    labels: 'labels',
    sampleWeight: 'sample_weight',
  });
  const updates = new Map<string, string>();
  const scale =
    lossScale === undefined ? undefined : addLossScale(builder, accumulates ? null : updates);
  const numerator =
    scale === undefined ? loss.numerator : builder.node('Mul', [loss.numerator, scale]);
  // What is added up over micro-batches is divided at the end of the step.
  const end = accumulates ? { numerator } : { numerator, denominator: loss.denominator };
  const learned = differentiate(builder.build(), end, roles.weights);
  const step =
    activationBytes === undefined ? learned.graph : recompute(learned, activationBytes).graph;
  const full = GraphBuilder.from(step);
  guardStatistics(full, newStatistics, loss, updates);
  return { builder: full, loss, gradients: learned.gradients, updates };
}

/** Declares what replaces the State and what can be read, and leaves out what neither needs. */
function finished(
  builder: GraphBuilder,
  updates: ReadonlyMap<string, string>,
  outputs: readonly string[],
  state: readonly StateSpec[],
): StepGraph {
  const dims = new Map(state.map((entry) => [entry.name, entry.dims]));
  const declared = new Map<string, readonly number[]>();
  for (const { name } of state) {
    const output = updates.get(name);
    if (output !== undefined) declared.set(output, dims.get(name) ?? []);
  }
  for (const name of outputs) {
    const weight = name.endsWith('/grad') ? name.slice(0, -'/grad'.length) : '';
    declared.set(name, dims.get(weight) ?? []);
  }
  for (const [name, own] of declared) builder.output(name, 'float32', own);
  return { graph: pruneUnused(builder.build()), updates, outputs };
}

/**
 * @throws AppError `training/graph`, `training/weight`, `training/loss`; `autodiff/…`; `onnx/…`
 */
export function buildTrainingGraph(forward: Graph, options: TrainingOptions): TrainingGraph {
  const { accumulate = 1, lossScale, optimiser } = options;
  const roles = rolesOf(forward, options);
  const { weights, statistics } = roles;
  const dimsOf = (name: string) => float32Of(forward, name).dims;
  const stateSpecs: StateSpec[] = [...weights, ...statistics].map((name) => ({
    name,
    dims: dimsOf(name),
  }));
  const learned = learn(forward, roles, options, accumulate > 1 ? 'accumulate' : 'training');
  let { builder: full, gradients, updates } = learned;
  let micro: StepGraph | null = null;
  if (accumulate > 1) {
    const sums = sumSpecs(weights, dimsOf);
    stateSpecs.push(...sums);
    addToSums(learned, sums);
    micro = finished(learned.builder, learned.updates, [], stateSpecs);
    ({ builder: full, gradients, updates } = startApplying(forward.name, weights, dimsOf));
    for (const scalar of STEP_FEEDS) full.input(scalar, 'float32', []);
    if (lossScale !== undefined) addLossScale(full, updates);
  }
  const scale = lossScale === undefined ? undefined : LOSS_SCALE.used;
  const outputs = ['loss_numerator', 'loss_denominator', 'grad_norm', 'step_done'];
  if (scale !== undefined) {
    stateSpecs.push(...scaleSpecs());
    outputs.push(scale);
  }
  if (options.withGradients) {
    for (const [name, value] of gradients) {
      const own = scale === undefined ? value : full.node('Div', [value, scale]);
      outputs.push(full.node('Identity', [own], {}, { outputs: [`${name}/grad`] }));
    }
  }
  const factors = options.withFactors
    ? full.input(FACTORS_INPUT, 'float32', [weights.length])
    : undefined;
  const extras = { factors, lossScale: scale };
  stateSpecs.push(...addOptimiser(full, optimiser, weights, gradients, dimsOf, updates, extras));
  const initialState = new Map<string, Float32Array>();
  for (const { name, dims } of stateSpecs) {
    initialState.set(
      name,
      forward.initializers.has(name)
        ? float32Of(forward, name).data.slice()
        : new Float32Array(sizeOf(dims)),
    );
  }
  if (lossScale !== undefined) initialState.set(LOSS_SCALE.entry, Float32Array.of(lossScale));
  const end = finished(full, updates, outputs, stateSpecs);
  return { ...end, micro, stateSpecs, initialState, weights, statistics };
}

/**
 * Forward pass as the finished model will do it, with the loss of each row, on the State of a training graph.
 * Outputs: logits, row_loss [B], loss_numerator, loss_denominator.
 */
export function buildValidationGraph(forward: Graph, options: LossOptions): ValidationGraph {
  const roles = rolesOf(forward, options);
  const { builder, logitsDims } = startGraph(forward, roles, options, 'validation');
  for (const node of forward.nodes) {
    if (node.op === 'Dropout' && node.domain === '') {
      copyNode(builder, node, {
        op: 'Identity',
        inputs: node.inputs.slice(0, 1),
        outputs: node.outputs.slice(0, 1),
        attributes: new Map(),
      });
    } else {
      copyNode(builder, node, isNorm(node) ? asInference(node) : {});
    }
  }
  const rows = addRowLoss(builder, options.loss, {
    logits: 'logits',
    logitsDims,
    labels: 'labels',
    sampleWeight: 'sample_weight',
  });
  const rowLoss = builder.node('Identity', [rows], {}, { outputs: ['row_loss'] });
  addLossSums(builder, rowLoss, 'sample_weight');
  builder.output('logits', 'float32', logitsDims);
  builder.output('row_loss', 'float32', logitsDims.slice(0, 1));
  builder.output('loss_numerator', 'float32', []);
  builder.output('loss_denominator', 'float32', []);
  return {
    graph: pruneUnused(builder.build()),
    outputs: ['logits', 'row_loss', 'loss_numerator', 'loss_denominator'],
  };
}
