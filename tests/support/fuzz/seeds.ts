/** Small valid files that other parts of the studio would have written: Keras exports, adapters, jobs, zips. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { sha256Hex } from '../../../src/core/hash';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { writeModel } from '../../../src/onnx/writer';
import type { PretrainedBlueprint } from '../../../src/protocol/fine-tune';
import type { PretrainedFile } from '../../../src/protocol/pretrained';
import type { TrainRequest } from '../../../src/protocol/api';
import { asBase } from '../../../src/training/base';
import { Bases } from '../../../src/training/bases';
import { describeBase } from '../../../src/training/describe-base';
import { lessonOptions, prepareLesson } from '../../../src/training/lesson';
import { adapterFile, pretrainedMethods } from '../../../src/training/pretrained-api';
import { io, model, node, w } from '../../unit/onnx/proto';
import { runConfig } from '../run-config';
import { STRIPES_RECIPE, tinyClassifier } from '../tiny-body';

export interface KerasSeed {
  readonly modelJson: string;
  readonly shard: Uint8Array;
}

/** A Sequential and a Functional model with the same weights. */
export function tinyKeras(): readonly KerasSeed[] {
  const input = { batch_input_shape: [null, 16, 16, 3], dtype: 'float32' };
  const conv = {
    ...{ name: 'conv', filters: 4, kernel_size: [3, 3], strides: [2, 2], padding: 'valid' },
    ...{ data_format: 'channels_last', dilation_rate: [1, 1], activation: 'relu', use_bias: true },
  };
  const pool = { name: 'pool', data_format: 'channels_last' };
  const dense = { name: 'dense', units: 2, activation: 'softmax', use_bias: true };
  const chain = (['Conv2D', 'GlobalAveragePooling2D', 'Dense'] as const).map((class_name, at) => ({
    class_name,
    config: [{ ...conv, ...input }, pool, dense][at],
  }));
  const from = (layer: string) => [[[layer, 0, 0, {}]]];
  const functional = {
    name: 'net',
    layers: [
      { class_name: 'InputLayer', name: 'in', config: { name: 'in', ...input }, inbound_nodes: [] },
      { class_name: 'Conv2D', name: 'conv', config: conv, inbound_nodes: from('in') },
      {
        class_name: 'BatchNormalization',
        name: 'norm',
        config: { name: 'norm', axis: [3], epsilon: 0.001, momentum: 0.99 },
        inbound_nodes: from('conv'),
      },
      {
        class_name: 'ZeroPadding2D',
        name: 'pad',
        config: {
          name: 'pad',
          padding: [
            [1, 1],
            [1, 1],
          ],
        },
        inbound_nodes: from('norm'),
      },
      {
        class_name: 'MaxPooling2D',
        name: 'max',
        config: { name: 'max', pool_size: [2, 2], strides: [2, 2], padding: 'same' },
        inbound_nodes: from('pad'),
      },
      {
        class_name: 'GlobalAveragePooling2D',
        name: 'pool',
        config: pool,
        inbound_nodes: from('max'),
      },
      { class_name: 'Dense', name: 'dense', config: dense, inbound_nodes: from('pool') },
    ],
    input_layers: [['in', 0, 0]],
    output_layers: [['dense', 0, 0]],
  };
  const shapes = {
    'conv/kernel': [3, 3, 3, 4],
    'conv/bias': [4],
    'norm/moving_mean': [4],
    'norm/moving_variance': [4],
    'dense/kernel': [4, 2],
    'dense/bias': [2],
  };
  const weights = Object.entries(shapes).map(([name, shape]) => ({
    name,
    shape,
    dtype: 'float32',
  }));
  const numbers = Float32Array.from({ length: 130 }, (_, i) => 1 + Math.sin(i) / 2);
  const file = (model_config: object): KerasSeed => ({
    modelJson: JSON.stringify({
      format: 'layers-model',
      modelTopology: { model_config },
      weightsManifest: [{ paths: ['w.bin'], weights }],
    }),
    shard: new Uint8Array(numbers.buffer),
  });
  return [
    file({ class_name: 'Sequential', config: { name: 'net', layers: chain } }),
    file({ class_name: 'Functional', config: functional }),
  ];
}

export function kerasFiles(modelJson: Uint8Array, shard?: Uint8Array): PretrainedFile[] {
  const bytes = shard ?? tinyKeras()[0]?.shard ?? new Uint8Array();
  return [
    { path: 'k/model.json', file: new Blob([new Uint8Array(modelJson)]) },
    { path: 'k/w.bin', file: new Blob([new Uint8Array(bytes)]) },
  ];
}

/** Two weights in `w.bin`, which has 64 bytes. */
export function externalModel(): Uint8Array {
  const entry = (key: string, value: string) => w().string(1, key).string(2, value);
  const outside = (name: string, offset: number) =>
    w()
      .ints(1, [2, 4])
      .int(2, 1)
      .string(8, name)
      .message(13, entry('location', 'w.bin'))
      .message(13, entry('offset', String(offset)))
      .message(13, entry('length', '32'))
      .int(14, 1);
  return model(
    io()
      .message(5, outside('a', 0))
      .message(5, outside('b', 32))
      .message(1, node('Add', ['x', 'a'], ['s']))
      .message(1, node('Mul', ['s', 'b'], ['y'])),
  );
}

const BODY = writeModel(tinyClassifier());

async function bases(): Promise<{ bases: Bases; id: string }> {
  const id = await sha256Hex(BODY);
  const summary = describeBase(asBase(tinyClassifier()));
  const file = { sha256: id, storageKey: id, bytes: BODY.length };
  const facts = { id, format: 1, name: 'tiny', createdAt: 0, bytes: BODY.length } as const;
  const store = () => ({
    getPretrained: () => Promise.resolve({ ...facts, chunks: [file], summary }),
    getPretrainedFile: () => Promise.resolve(BODY.slice().buffer),
  });
  const readStatic = () => Promise.reject(new Error('Not asked.'));
  return { bases: new Bases({ readStatic, store }), id };
}

/** What a LoRA run on the tiny body would have left, untrained. */
export async function ADAPTERS(): Promise<readonly Uint8Array[]> {
  const { bases: known, id } = await bases();
  const base = await known.load({ kind: 'own', sha256: id });
  const blueprint: PretrainedBlueprint = {
    kind: 'pretrained',
    source: { kind: 'own', sha256: id },
    cut: null,
    head: { hidden: 0, dropout: 0 },
    strategy: { kind: 'lora', rank: 2, alpha: 4, dropout: 0, targets: '*' },
    batchNorm: 'frozen',
    picture: null,
  };
  const common = { datasetId: 'd', target: 'label', task: 'classification' } as const;
  const config = runConfig({ ...common, blueprint });
  const recipe = STRIPES_RECIPE;
  const lesson = prepareLesson(
    blueprint,
    base,
    lessonOptions({ loss: 'softmax-ce', seed: 1 }, recipe),
  );
  const trained = new Map<string, Float32Array>();
  for (const name of lesson.trainable) {
    const data = lesson.forward.initializers.get(name)?.data;
    if (data instanceof Float32Array) trained.set(name, data);
  }
  const request = { config, prepared: { recipe } } as TrainRequest;
  const file = adapterFile(lesson, trained, request, {
    source: blueprint.source,
    name: 'tiny',
    sha256: id,
  });
  if (file === null) throw new Error('LoRA gives an adapter.');
  return [new Uint8Array(file)];
}

let methods: Promise<ReturnType<typeof pretrainedMethods>> | null = null;

export async function applied(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  methods ??= bases().then((known) => pretrainedMethods(known.bases, compileRecipe));
  const { model: file } = await (await methods).applyAdapter(bytes.slice().buffer);
  if (file.byteLength === 0) throw new Error('An applied adapter is a model.');
}

export const JOBS: readonly string[] = [
  readFileSync(join(process.cwd(), 'docs', 'example.job.json'), 'utf8'),
  JSON.stringify({
    format: 1,
    data: { zip: 'a.zip', size: 64 },
    recipe: { use: { a: true, b: false } },
    split: { train: 0.6, validation: 0.2, test: 0.2, testGroups: ['x'] },
    blueprint: { kind: 'cnn', channels: [4, 8], pool: 'max', dense: 0, dropout: 0.1 },
    training: { epochs: 3, optimiser: { kind: 'adam', beta1: 0.9 }, augment: null },
    compression: 'none',
    seed: 7,
  }),
];

/** A plain deflated zip, as computers make them. */
export function zipOf(files: Readonly<Record<string, Uint8Array>>): Uint8Array<ArrayBuffer> {
  const parts: Buffer[] = [];
  const contents: Buffer[] = [];
  let at = 0;
  for (const [path, bytes] of Object.entries(files)) {
    const name = Buffer.from(path);
    const packed = deflateRawSync(bytes);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    parts.push(Buffer.from('PK\x03\x04', 'latin1'), common, name, packed);
    contents.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), common, place, name);
    at += 4 + common.length + name.length + packed.length;
  }
  const length = contents.reduce((all, part) => all + part.length, 0);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(length, 12);
  end.writeUInt32LE(at, 16);
  return new Uint8Array(Buffer.concat([...parts, ...contents, end]));
}
