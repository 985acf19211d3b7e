/** One step of fine-tuning exported models on the device executors, as on the reference. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addLora } from '../../../src/autodiff/lora';
import { withHead } from '../../../src/autodiff/new-head';
import { bodyBlocks, bodyOf, findHead } from '../../../src/autodiff/surgery';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { Graph } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import type { FineTuneStrategy } from '../../../src/protocol/fine-tune';
import { trainableFor } from '../../../src/training/trainable';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import type { TrainingOptions } from '../../../src/training/training-graph';
import { randomNumbers, uniform } from '../../support/calls';
import mobilenet from '../../fixtures/exported/mobilenet.onnx?url';
import resnet from '../../fixtures/exported/resnet.onnx?url';
import vit from '../../fixtures/exported/vit.onnx?url';
import { distance, open, stepAndRead } from './support';

let devices: readonly Executor[];
beforeAll(async () => {
  devices = [await createWasmExecutor(), await createWebgpuExecutor()];
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

const LORA = { kind: 'lora', rank: 2, alpha: 8, dropout: 0, targets: '*' } as const;
const FULL = { kind: 'full', depthDecay: 0.5 } as const;
const ROWS = 4;

/** Activations that onnxruntime-web does not know yet, in place of rectifiers. */
function withSwish(graph: Graph): Graph {
  const nodes = graph.nodes.map((node) => (node.op === 'Relu' ? { ...node, op: 'Swish' } : node));
  return { ...graph, nodes };
}

const CASES: readonly (readonly [string, string, FineTuneStrategy, Partial<TrainingOptions>])[] = [
  ['ResNet, everything, norms adapt', resnet, FULL, {}],
  [
    'ResNet, two blocks, norms frozen',
    resnet,
    { kind: 'last-blocks', blocks: 2 },
    { batchNorm: 'frozen' },
  ],
  ['MobileNet, everything in little memory', mobilenet, FULL, { activationBytes: 0 }],
  ['ViT, adapters', vit, LORA, {}],
];

it.each(CASES)('%s', async (_, url, strategy, more) => {
  const file = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const model = withSwish(readModel(file));
  const head = { classes: 3, hidden: 4, dropout: 0, seed: 11 };
  const bare = withHead(bodyOf(model, findHead(model).cut), head);
  const forward = strategy.kind === 'lora' ? addLora(bare, { ...strategy, seed: 3 }) : bare;
  const training = buildTrainingGraph(forward, {
    task: 'classification',
    loss: 'softmax-ce',
    batchSize: ROWS,
    optimiser: { kind: 'sgd', momentum: 0.9 },
    trainable: trainableFor(strategy, forward, bodyBlocks(forward)).weights,
    withGradients: true,
    ...more,
  });
  const feeds = new Map<string, Float32Array | Int32Array>([
    ['features', Float32Array.from(uniform(randomNumbers(5), [ROWS, 3, 16, 16]).data)],
    ['labels', Int32Array.of(0, 1, 2, 1)],
    ['sample_weight', Float32Array.of(1, 1, 0.5, 1)],
    ['learning_rate', Float32Array.of(0.05)],
    ['step', Float32Array.of(1)],
    ['clip_norm', Float32Array.of(0)],
  ]);
  const step = async (executor: Executor) => {
    const { state, program } = await open(executor, training);
    const read = await stepAndRead(program, feeds);
    const after = await state.read();
    program.dispose();
    state.dispose();
    return { read, after };
  };
  const expected = await step(createReferenceExecutor());
  for (const device of devices) {
    const found = await step(device);
    for (const [name, values] of expected.read) {
      // Gradients that nearly cancel have few digits left.
      const size = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
      const off = distance(found.read.get(name), values) * Math.min(1, size / 1e-3);
      expect(off, `${name} on ${device.name}`).toBeLessThan(2e-3);
    }
    for (const [name, values] of expected.after) {
      if (name.endsWith('/m')) continue;
      expect(distance(found.after.get(name), values), name).toBeLessThan(1e-3);
    }
  }
});
