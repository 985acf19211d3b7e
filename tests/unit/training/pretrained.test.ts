import { afterEach, describe, expect, it } from 'vitest';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { sha256Hex } from '../../../src/core/hash';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { readModel } from '../../../src/onnx/reader';
import { writeModel } from '../../../src/onnx/writer';
import type { TrainEvent, TrainRequest } from '../../../src/protocol/api';
import type { BatchRequest } from '../../../src/protocol/batches';
import type { Checkpoint } from '../../../src/protocol/entities';
import type { FineTuneStrategy, PretrainedBlueprint } from '../../../src/protocol/fine-tune';
import { describeBase } from '../../../src/training/describe-base';
import { asBase } from '../../../src/training/base';
import { createTrainApi } from '../../../src/training/train-api';
import { BLOB_TRAINING } from '../../support/blobs';
import { InMemoryBatches } from '../../support/in-memory-batches';
import { runConfig } from '../../support/run-config';
import { stripes, STRIPES_RECIPE, tinyClassifier } from '../../support/tiny-body';

const FILE = writeModel(tinyClassifier());
const PARTS = { train: stripes(96, 1), validation: stripes(48, 2) };
const BODY = ['block1.conv.weight', 'block2.conv.weight', 'block2.conv.bias'];

const ports: MessagePort[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

interface Bench {
  readonly api: ReturnType<typeof createTrainApi>;
  readonly features: Map<string, ArrayBuffer>;
  readonly checkpoints: { checkpoint: Checkpoint; state: ArrayBuffer; best: ArrayBuffer | null }[];
}

async function bench(
  features = new Map<string, ArrayBuffer>(),
  checkpoints: Bench['checkpoints'] = [],
): Promise<Bench & { id: string }> {
  const id = await sha256Hex(FILE);
  const file = { sha256: id, storageKey: id, bytes: FILE.length };
  const api = createTrainApi({
    compileRecipe,
    openExecutor: async () => ({ executor: createReferenceExecutor(), label: 'the reference' }),
    probe: () => Promise.reject(new Error('Not asked.')),
    readStatic: () => Promise.reject(new Error('Not asked.')),
    openStore: () => ({
      putCheckpoint: async (checkpoint, state, best) => {
        const kept = { ...checkpoint, format: 1, createdAt: 0, state: file, best: file } as const;
        checkpoints.push(structuredClone({ checkpoint: kept, state, best }));
      },
      getCheckpoint: async () => checkpoints.at(-1) ?? null,
      getPretrained: async () => ({
        id,
        format: 1,
        name: 'tiny',
        createdAt: 0,
        bytes: FILE.length,
        chunks: [file],
        summary: describeBase(asBase(tinyClassifier())),
      }),
      getPretrainedFile: async () => FILE.slice().buffer,
      getFeatures: async (key) => features.get(key) ?? null,
      getSetting: async () => undefined,
      setSetting: async () => undefined,
      putFeatures: async (key, bytes) => void features.set(key, bytes.slice(0)),
    }),
  });
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  api.connectStore(port1);
  return { api, features, checkpoints, id };
}

/** The data worker's end; counts the batches that were asked with their features. */
function served(): { port: MessagePort; whole: () => number } {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  const source = new InMemoryBatches(PARTS, 16);
  let whole = 0;
  port1.onmessage = async ({ data }: MessageEvent<BatchRequest>) => {
    const { part, epoch, index } = data;
    const { features, labels, weights, rows } = await source.next({ part, epoch, index });
    // Rows of the dataset: no row is in both parts.
    const places = part === 'train' ? rows : rows.map((row) => row + 1000);
    if (data.features !== false) whole++;
    const answer = data.features === false ? new ArrayBuffer(0) : features.buffer;
    const [a, b] = [labels.buffer, weights.buffer];
    port1.postMessage({
      type: 'batch',
      part,
      epoch,
      index,
      features: answer,
      labels: a,
      weights: b,
      rows: places,
    });
  };
  return { port: port2, whole: () => whole };
}

function request(
  sha256: string,
  strategy: FineTuneStrategy,
  change: Partial<PretrainedBlueprint> = {},
  epochs = 8,
): TrainRequest {
  const blueprint: PretrainedBlueprint = {
    kind: 'pretrained',
    source: { kind: 'own', sha256 },
    cut: null,
    head: { hidden: 0, dropout: 0 },
    strategy,
    batchNorm: 'frozen',
    picture: null,
    ...change,
  };
  const config = runConfig({
    datasetId: 'd1',
    target: 'label',
    task: 'classification',
    blueprint,
    training: { ...BLOB_TRAINING, epochs, learningRate: 0.05 },
    executor: 'reference',
  });
  const prepared = {
    recipe: STRIPES_RECIPE,
    parts: { train: 96, validation: 48, test: 0 },
    classCounts: [32, 32, 32],
    findings: [],
  };
  return {
    runId: 'r1',
    config,
    prepared,
    executor: 'reference',
    resume: false,
    checkpointEverySeconds: 0,
  };
}

async function logitsOf(model: ArrayBuffer): Promise<Float32Array> {
  const session = await InferenceSession.create(new Uint8Array(model));
  const data = Uint8Array.from({ length: 4 * 64 }, (_, i) => (i * 37) % 256);
  const { logits } = await session.run({ image: new Tensor('uint8', data, [4, 1, 8, 8]) });
  return logits?.data as Float32Array;
}

const LORA: FineTuneStrategy = { kind: 'lora', rank: 2, alpha: 4, dropout: 0, targets: 'block*' };
const STRATEGIES: readonly (readonly [FineTuneStrategy, number, number])[] = [
  // Numbers that learn: the head (12 × 3 + 3), and the body's own.
  [{ kind: 'head' }, 39, 0],
  [{ kind: 'last-blocks', blocks: 1 }, 39 + 84, 0],
  [{ kind: 'full', depthDecay: 0.7 }, 39 + 84 + 66, 0],
  [{ kind: 'gradual', epochsPerBlock: 3, depthDecay: 0.7 }, 39 + 84 + 66, 0],
  [LORA, 39 + 2 * (12 + 6), 1],
];

describe('fine-tuning', () => {
  it.each(STRATEGIES)('learns by %j', async (strategy, trainable, adapters) => {
    const { api, id } = await bench();
    const events: TrainEvent[] = [];
    const outcome = await api.run(request(id, strategy), served().port, (e) => events.push(e));
    expect(outcome.best.metric).toBeGreaterThan(0.9);
    expect(events.find(({ type }) => type === 'started')).toMatchObject({ weights: trainable });
    expect(outcome.base).toMatchObject({ name: 'tiny', sha256: id });
    expect(outcome.adapter === null).toBe(adapters === 0);
    const trained = readModel(new Uint8Array(outcome.model));
    const before = tinyClassifier();
    const same = BODY.map(
      (name) =>
        trained.initializers.get(name)?.data.toString() ===
        before.initializers.get(name)?.data.toString(),
    );
    const untouched = {
      head: [true, true, true],
      'last-blocks': [true, false, false],
      full: [false, false, false],
      gradual: [false, false, false],
      lora: [true, false, true],
    };
    expect(same).toEqual(untouched[strategy.kind]);
    expect([...trained.initializers.keys()].some((name) => name.startsWith('classifier'))).toBe(
      false,
    );
  });

  it('trains the head alone on answers that the body gave once, and finds them again', async () => {
    const { api, features, id } = await bench();
    const events: TrainEvent[] = [];
    const first = served();
    const once = await api.run(request(id, { kind: 'head' }), first.port, (e) => events.push(e));
    // 6 + 3 batches to look at; all others came without features.
    expect(first.whole()).toBe(9);
    expect(features.size).toBe(1);
    const labels = events.flatMap((e) => (e.type === 'phase' ? [e.progress.label] : []));
    expect(labels).toContain('Looking at 144 pictures');
    const second = served();
    const again = await api.run(request(id, { kind: 'head' }), second.port, () => undefined);
    expect(second.whole()).toBe(0);
    expect(new Uint8Array(again.model)).toEqual(new Uint8Array(once.model));
  });

  it.each([
    [{ kind: 'head' }],
    [{ kind: 'last-blocks', blocks: 1 }],
    [{ ...LORA, targets: 'block2*' }],
  ] as const)(
    'learns on kept answers what it learns through the whole body: %j',
    async (strategy) => {
      const { api, features, id } = await bench();
      const plain = request(id, strategy, {}, 2);
      const kept = await api.run(plain, served().port, () => undefined);
      expect(features.size).toBe(1);
      // Pictures that vary cannot be kept; these vary by nothing.
      const augment = { shift: 0, rotate: 0, zoom: 0 };
      const varied = { ...plain.config, training: { ...plain.config.training, augment } };
      const direct = await api.run({ ...plain, config: varied }, served().port, () => undefined);
      expect(features.size).toBe(1);
      const [a, b] = [await logitsOf(kept.model), await logitsOf(direct.model)];
      a.forEach((value, i) => expect(value).toBeCloseTo(b[i] ?? NaN, 4));
    },
  );

  it('exports what it trained: the file on onnxruntime is the graph on the reference', async () => {
    const { api, id } = await bench();
    const full = request(id, { kind: 'full', depthDecay: 1 }, { batchNorm: 'train' }, 2);
    const outcome = await api.run(full, served().port, () => undefined);
    const data = Uint8Array.from({ length: 4 * 64 }, (_, i) => (i * 37) % 256);
    const image = { dtype: 'uint8', dims: [4, 1, 8, 8], data } as const;
    const graph = readModel(new Uint8Array(outcome.model));
    const values = runGraph(graph, new Map([['image', image]]));
    const expected = values.get('logits')?.data ?? [];
    const found = await logitsOf(outcome.model);
    expect(found).toHaveLength(12);
    found.forEach((value, i) => expect(Math.abs(value - Number(expected[i]))).toBeLessThan(1e-5));
    // Its norms went on adapting.
    const mean = graph.initializers.get('block1.norm.mean')?.data;
    expect(Number(mean?.[0])).not.toBeCloseTo(0.05, 5);
  });

  it('merges an adapter so that its own file gives the same model again', async () => {
    const { api, id } = await bench();
    const outcome = await api.run(request(id, LORA, {}, 2), served().port, () => undefined);
    const adapter = outcome.adapter ?? new ArrayBuffer(0);
    expect(adapter.byteLength).toBeLessThan(outcome.model.byteLength);
    const applied = await api.applyAdapter(adapter);
    expect(applied.base.sha256).toBe(id);
    expect(applied.signature).toEqual(outcome.signature);
    const [a, b] = [await logitsOf(outcome.model), await logitsOf(applied.model)];
    expect([...b]).toEqual([...a]);
  });

  it('resumes where it stood, holding only what learns', async () => {
    const strategy = { kind: 'last-blocks', blocks: 1 } as const;
    const whole = await bench();
    const straight = await whole.api.run(
      request(whole.id, strategy),
      served().port,
      () => undefined,
    );
    const names = whole.checkpoints[0]?.checkpoint.tensors.map(({ name }) => name) ?? [];
    expect(names).toContain('block2.conv.weight');
    expect(names).not.toContain('block1.conv.weight');
    const middle = whole.checkpoints.find(({ checkpoint }) => checkpoint.step === 20);
    const other = await bench(new Map(), middle ? [middle] : []);
    const resumed = await other.api.run(
      { ...request(other.id, strategy), resume: true },
      served().port,
      () => undefined,
    );
    expect(new Uint8Array(resumed.model)).toEqual(new Uint8Array(straight.model));
  });
});
