/**
 * Losses as graph nodes. Every loss is Σ wᵢ·lᵢ over Σ wᵢ, where w is `sample_weight`:
 *   softmax-ce   lᵢ = −log softmax(logitsᵢ)[labelᵢ]              Goodfellow, Bengio & Courville 2016, 6.2.2.3
 *   bce          lᵢ = softplus(x) − x·y, y ∈ {0, 1}              the same, 6.2.2.2: −log σ(x) or −log σ(−x), stable
 *   mse          lᵢ = (x − y)²
 *   huber        lᵢ = ½r² where |r| ≤ 1, |r| − ½ elsewhere, r = x − y    Huber 1964, δ = 1
 */
import { AppError } from '../core/errors';
import { attr, TRAINING_DOMAIN } from '../onnx/graph';
import type { GraphBuilder } from '../onnx/builder';
import type { TaskType, TrainingConfig } from '../protocol/entities';
import { reshapeTo } from '../ops/gradients';
import { shapeText } from '../ops/shapes';
import { oneHot } from '../ops/SoftmaxCrossEntropy/spec';

export type LossName = TrainingConfig['loss'];

export interface LossInputs {
  readonly logits: string;
  readonly logitsDims: readonly number[];
  /** Classification: int32 [B]. Regression: float32 [B, 1]. */
  readonly labels: string;
  readonly sampleWeight: string;
}

/** Refuses a loss that does not fit the task or the width of the logits. */
export function checkLossFits(task: TaskType, loss: LossName, logitsDims: readonly number[]): void {
  const classes = logitsDims[1];
  const fitsTask =
    task === 'classification'
      ? loss === 'softmax-ce' || loss === 'bce'
      : loss === 'mse' || loss === 'huber';
  if (!fitsTask) {
    throw new AppError('training/loss', `The loss ${loss} does not fit a ${task} task.`, {
      loss,
      task,
    });
  }
  const fitsWidth = loss === 'softmax-ce' ? (classes ?? 0) >= 2 : classes === 1;
  if (logitsDims.length !== 2 || !fitsWidth) {
    throw new AppError(
      'training/loss',
      `The loss ${loss} needs logits of shape [batch, ${loss === 'softmax-ce' ? 'classes' : '1'}], ` +
        `but the model gives ${shapeText(logitsDims)}.`,
      { loss, dims: logitsDims },
    );
  }
}

/** Loss of each row, shape [B]. */
export function addRowLoss(builder: GraphBuilder, loss: LossName, inputs: LossInputs): string {
  const { logits, labels, logitsDims } = inputs;
  const [rows = 0, classes = 0] = logitsDims;
  if (loss === 'softmax-ce') {
    const logP = builder.node('LogSoftmax', [logits], { axis: attr.int(1) });
    const picked = builder.node('Mul', [logP, oneHot(builder, labels, classes)]);
    const sum = builder.node('ReduceSum', [picked, builder.ints([1])], { keepdims: attr.int(0) });
    return builder.node('Neg', [sum]);
  }
  const x = reshapeTo(builder, logits, [rows]);
  if (loss === 'bce') {
    const y = builder.node('Cast', [labels], { to: attr.int(1) });
    return builder.node('Sub', [builder.node('Softplus', [x]), builder.node('Mul', [x, y])]);
  }
  const r = builder.node('Sub', [x, reshapeTo(builder, labels, [rows])]);
  if (loss === 'mse') return builder.node('Mul', [r, r]);
  // c·(r − c/2) with c = clip(r, −1, 1) is both branches at once.
  const c = builder.node('Clip', [r, builder.scalar(-1), builder.scalar(1)]);
  const half = builder.node('Mul', [c, builder.scalar(0.5)]);
  return builder.node('Mul', [c, builder.node('Sub', [r, half])]);
}

/** `loss_numerator` and `loss_denominator` from the loss of each row. */
export function addLossSums(
  builder: GraphBuilder,
  rowLoss: string,
  sampleWeight: string,
): { numerator: string; denominator: string } {
  const weighted = builder.node('Mul', [rowLoss, sampleWeight]);
  const all = { keepdims: attr.int(0) };
  const axes = builder.ints([0]);
  return {
    numerator: builder.node('ReduceSum', [weighted, axes], all, { outputs: ['loss_numerator'] }),
    denominator: builder.node('ReduceSum', [sampleWeight, axes], all, {
      outputs: ['loss_denominator'],
    }),
  };
}

/** The loss to learn from. Softmax cross-entropy is one fused node; the others are a few elementwise ones. */
export function addTrainingLoss(
  builder: GraphBuilder,
  loss: LossName,
  inputs: LossInputs,
): { numerator: string; denominator: string } {
  if (loss !== 'softmax-ce') {
    return addLossSums(builder, addRowLoss(builder, loss, inputs), inputs.sampleWeight);
  }
  builder.nodes(
    'SoftmaxCrossEntropy',
    [inputs.logits, inputs.labels, inputs.sampleWeight],
    3,
    {},
    {
      domain: TRAINING_DOMAIN,
      outputs: ['loss_numerator', 'loss_denominator', 'loss_probabilities'],
    },
  );
  return { numerator: 'loss_numerator', denominator: 'loss_denominator' };
}
