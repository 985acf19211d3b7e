/** What a person brings to start from: kept with what its file says, read once, and weights alone into our own blueprints. */
import { describe, expect, it } from 'vitest';
import { buildBlueprint } from '../../../src/blueprints/build';
import { sha256Hex } from '../../../src/core/hash';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { writeSafetensors } from '../../../src/importers/safetensors';
import type { Tensor } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import { writeModel } from '../../../src/onnx/writer';
import type { DatasetManifest, OwnBlueprint } from '../../../src/protocol/entities';
import type { PretrainedBlueprint } from '../../../src/protocol/fine-tune';
import type {
  Architecture,
  PretrainedFile,
  PretrainedModel,
} from '../../../src/protocol/pretrained';
import { pixelChoices, pretrainedBlueprint, samePixels } from '../../../src/services/pretrained';
import { prepareLesson } from '../../../src/training/lesson';
import { readPicked } from '../../../src/training/picked';
import { readPretrained } from '../../../src/training/picked-model';
import { createTrainApi } from '../../../src/training/train-api';
import { Bases } from '../../../src/training/bases';
import { tinyClassifier } from '../../support/tiny-body';

const nothing = () => undefined;

/** A store that keeps what was put in and gives it back as a new browser would: through JSON and bytes. */
class Kept {
  readonly #records = new Map<string, { readonly json: string; readonly file: ArrayBuffer }>();

  async put(read: { name: string; summary: PretrainedModel['summary']; file: Blob }) {
    const file = await read.file.arrayBuffer();
    const id = await sha256Hex(file);
    const { name, summary } = read;
    const record = {
      id,
      format: 1,
      name,
      createdAt: 0,
      bytes: file.byteLength,
      chunks: [],
      summary,
    };
    this.#records.set(id, { json: JSON.stringify(record), file });
    return id;
  }

  readonly getPretrained = async (id: string) =>
    JSON.parse(this.#records.get(id)?.json ?? '') as PretrainedModel;
  readonly getPretrainedFile = async (id: string) =>
    this.#records.get(id)?.file.slice(0) ?? new ArrayBuffer(0);
}

function trainApi(kept: Kept) {
  const refused = () => Promise.reject(new Error('Not asked.'));
  const api = createTrainApi({
    compileRecipe,
    openExecutor: refused,
    probe: refused,
    readStatic: refused,
    openStore: () => ({
      ...{ putCheckpoint: refused, getCheckpoint: refused },
      ...{ getFeatures: refused, putFeatures: refused },
      ...{ getSetting: refused, setSetting: refused },
      ...{ getPretrained: kept.getPretrained, getPretrainedFile: kept.getPretrainedFile },
    }),
  });
  const { port1, port2 } = new MessageChannel();
  api.connectStore(port1);
  return { api, close: () => [port1, port2].forEach((port) => port.close()) };
}

function pictures(channels: number, side: number): DatasetManifest {
  const common = {
    format: 1,
    type: 'images',
    name: 'shapes',
    rows: 9,
    classes: ['a', 'b'],
  } as const;
  const source = { kind: 'folder', name: 'shapes' } as const;
  return { ...common, channels, height: side, width: side, pixels: [], labels: [], source };
}

const named = (path: string, parts: BlobPart): PretrainedFile => ({
  path,
  file: new Blob([parts]),
});

/** What Teachable Machine leaves: a convolution, a pool and a head, with its metadata. */
function teachable(): PretrainedFile[] {
  const layer = (class_name: string, config: object) => ({ class_name, config });
  const conv = {
    ...{ name: 'conv', filters: 4, kernel_size: [3, 3], strides: [2, 2], padding: 'valid' },
    ...{ data_format: 'channels_last', dilation_rate: [1, 1], activation: 'relu', use_bias: true },
    batch_input_shape: [null, 16, 16, 3],
  };
  const config = {
    name: 'teachable',
    layers: [
      layer('Conv2D', conv),
      layer('GlobalAveragePooling2D', { name: 'pool', data_format: 'channels_last' }),
      layer('Dense', { name: 'dense', units: 2, activation: 'softmax', use_bias: true }),
    ],
  };
  const shapes = {
    'conv/kernel': [3, 3, 3, 4],
    'conv/bias': [4],
    'dense/kernel': [4, 2],
    'dense/bias': [2],
  };
  const weights = Object.entries(shapes).map(([name, shape]) => ({
    name,
    shape,
    dtype: 'float32',
  }));
  const count = 108 + 4 + 8 + 2;
  const model = {
    format: 'layers-model',
    modelTopology: { model_config: { class_name: 'Sequential', config } },
    weightsManifest: [{ paths: ['weights.bin'], weights }],
  };
  const metadata = { tmVersion: '2.4.7', labels: ['cat', 'dog'], imageSize: 16 };
  return [
    named('tm/model.json', JSON.stringify(model)),
    named(
      'tm/weights.bin',
      Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
    ),
    named('tm/metadata.json', JSON.stringify(metadata)),
  ];
}

describe('a Teachable Machine model', () => {
  it('wants pixels from -1 to 1 whenever it is chosen again', async () => {
    const kept = new Kept();
    const first = trainApi(kept);
    const id = await kept.put(await readPretrained(teachable(), null, nothing));
    first.close();
    const later = trainApi(kept);
    const source = { kind: 'own', sha256: id } as const;
    const summary = await later.api.describePretrained(source);
    later.close();
    expect(pretrainedBlueprint(source, summary, pictures(3, 16)).picture).toMatchObject({
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    });
  });
});

describe('what a pixel can become', () => {
  const picture = (channels: number, pixels: { mean: number[]; std: number[] } | null) => ({
    picture: { channels, sizes: [16], pixels },
  });

  it('is one of four, and what the file or a job says besides', () => {
    const kinds = (...args: Parameters<typeof pixelChoices>) =>
      pixelChoices(...args).map(({ kind }) => kind);
    const four = ['unit', 'signed', 'imagenet', 'levels'];
    expect(kinds(picture(3, null), {})).toEqual(four);
    expect(kinds(picture(3, { mean: [0.5], std: [0.5] }), {})).toEqual(four);
    expect(kinds(picture(1, null), { mean: [0], std: [1] })).toEqual(['unit', 'signed', 'levels']);
    const odd = { mean: [0.4, 0.5, 0.4], std: [0.2, 0.2, 0.2] };
    expect(kinds(picture(3, odd), odd)).toEqual([...four, 'own']);
    const [, , , levels] = pixelChoices(picture(3, null), {});
    expect(samePixels(levels ?? {}, { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] })).toBe(
      true,
    );
  });
});

describe('an .onnx file', () => {
  it('is read once, into bytes that its weights stay in, and kept as it came', async () => {
    const bytes = writeModel(tinyClassifier());
    const file = new Blob([bytes]);
    const buffers: ArrayBuffer[] = [];
    const read = file.arrayBuffer.bind(file);
    file.arrayBuffer = async () => {
      const buffer = await read();
      buffers.push(buffer);
      return buffer;
    };
    const picked = await readPicked([{ path: 'tiny.onnx', file }], null, nothing);
    expect(picked.file).toBe(file);
    expect(buffers).toHaveLength(1);
    for (const { data } of picked.graph.initializers.values()) {
      expect(ArrayBuffer.isView(data) && data.buffer).toBe(buffers[0]);
    }
    expect(new Uint8Array(await picked.file.arrayBuffer())).toEqual(bytes);
  });
});

const CNN: OwnBlueprint = {
  ...{ kind: 'cnn', channels: [4, 6], batchNorm: true, pool: 'max', globalPool: true },
  ...{ dense: 8, dropout: 0.2 },
};
const LINEAR: OwnBlueprint = { kind: 'linear' };
const MLP: OwnBlueprint = { kind: 'mlp', hidden: [7, 5], activation: 'relu', dropout: 0 };
const PICTURES: Architecture = { blueprint: CNN, featureDims: [1, 8, 8], outputs: 3 };
const COLUMNS: Architecture = { blueprint: MLP, featureDims: [6], outputs: 3 };

/** Weights of the same architecture with seven classes, under PyTorch's names. */
function weightsOf(
  { blueprint, featureDims }: Architecture,
  seed = 9,
): [PretrainedFile, Map<string, Tensor>] {
  const { initializers } = buildBlueprint(blueprint, { featureDims, outputs: 7, seed });
  const own = [...initializers].filter(([name]) => name.includes('.'));
  const layers = [...new Set(own.map(([name]) => name.replace(/\.[^.]*$/, '')))];
  const tensors = new Map(
    own.map(([name, tensor]): [string, Tensor] => {
      const index = layers.indexOf(name.replace(/\.[^.]*$/, ''));
      return [`${index}.${name.split('.').at(-1)?.replace('scale', 'weight') ?? ''}`, tensor];
    }),
  );
  return [named('old.safetensors', writeSafetensors({ tensors, metadata: new Map() })), tensors];
}

describe('weights alone', () => {
  it.each([
    ['of a CNN', PICTURES],
    ['of a small network', COLUMNS],
  ])('%s become a body that is cut and taught like any other', async (_, architecture) => {
    const [file, tensors] = weightsOf(architecture);
    const kept = new Kept();
    const { api, close } = trainApi(kept);
    const read = await readPretrained([file], architecture, nothing);
    const { summary } = read;
    expect(summary.head).toMatchObject({ outputs: 7, features: architecture === PICTURES ? 8 : 5 });
    expect(summary.trainingBlockers).toEqual([]);
    const id = await kept.put(read);
    const source = { kind: 'own', sha256: id } as const;
    expect(await api.describePretrained(source)).toEqual(summary);
    close();
    const base = await new Bases({
      readStatic: () => Promise.reject(new Error('Not asked.')),
      store: () => kept,
    }).load(source);
    // Its first layer is the file's, and what stands before the old head answers as there.
    const [[, weight] = []] = tensors;
    expect([...base.graph.initializers.values()].map(({ data }) => String(data))).toContain(
      String(weight?.data),
    );
    const { featureDims, outputs } = architecture;
    const blueprint: PretrainedBlueprint = {
      kind: 'pretrained',
      source,
      cut: null,
      head: { hidden: 0, dropout: 0 },
      strategy: { kind: 'full', depthDecay: 1 },
      batchNorm: 'frozen',
      picture: null,
    };
    const lesson = prepareLesson(blueprint, base, { featureDims, outputs, seed: 1 });
    expect(lesson.forward.outputs[0]?.dims).toEqual(['batch', 3]);
    const length = featureDims.reduce((a, b) => a * b, 1);
    const x = {
      dtype: 'float32' as const,
      dims: [1, ...featureDims],
      data: Float32Array.from({ length }, (_, i) => Math.sin(i)),
    };
    const at = (graph: typeof lesson.forward, value: string) =>
      runGraph(
        { ...graph, outputs: [{ name: value, dtype: 'float32', dims: [] }] },
        new Map([['features', x]]),
      ).get(value)?.data;
    const cut = lesson.blocks.at(-1)?.output ?? '';
    const whole = readModel(new Uint8Array(await kept.getPretrainedFile(id)));
    expect(at(whole, cut)).toHaveLength(summary.head?.features ?? 0);
    expect(at(lesson.forward, cut)).toEqual(at(whole, cut));
  });

  it('of a linear model have only their answers for features: all of it is the body', async () => {
    const linear = { ...PICTURES, blueprint: LINEAR };
    const [file] = weightsOf(linear);
    const { summary } = await readPretrained([file], linear, nothing);
    expect(summary.head).toMatchObject({ outputs: 0, features: 7 });
    expect(summary.blocks).toHaveLength(1);
  });

  it('that do not fit say which tensor, what it needs and what was found', async () => {
    const [file] = weightsOf({ ...PICTURES, blueprint: { ...CNN, channels: [4, 5] } });
    await expect(readPicked([file], PICTURES, nothing)).rejects.toMatchObject({
      code: 'import/weights',
      message: expect.stringMatching(
        /"block2.conv.weight" needs \[6, 4, 3, 3\].*\[5, 4, 3, 3\]/,
      ) as string,
    });
  });

  it('need an architecture, and are no adapter', async () => {
    const [file] = weightsOf(PICTURES);
    await expect(readPicked([file], null, nothing)).rejects.toMatchObject({
      code: 'pretrained/architecture',
    });
    const metadata = new Map([['terrarium.adapter', '{}']]);
    const adapter = named('a.safetensors', writeSafetensors({ tensors: new Map(), metadata }));
    await expect(readPicked([adapter], PICTURES, nothing)).rejects.toMatchObject({
      code: 'pretrained/adapter-file',
    });
  });
});
