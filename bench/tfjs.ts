/** Stock TensorFlow.js: Layers models, a transformer of its operators, and its own Adam, as its documentation shows. */
import * as tf from '@tensorflow/tfjs';
import { batchOf, rowsOf } from './models';
import type { CnnModel, MlpModel, Model } from './models';
import type { GptModel } from './gpt';
import { weightsOf } from './tasks';
import type { Backend, Contender, OperatorTask, Weight } from './tasks';

async function useBackend(backend: Backend): Promise<void> {
  if (backend === 'webgpu') {
    await import('@tensorflow/tfjs-backend-webgpu');
  } else {
    const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
    const { wasmUrls } = await import('./tfjs-wasm');
    setWasmPaths(wasmUrls);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`tfjs has no ${backend} backend here.`);
  await tf.ready();
}

const version = `tfjs ${tf.version.tfjs}`;

function layersOf(model: MlpModel | CnnModel): tf.Sequential {
  const layers = tf.sequential();
  if (model.kind === 'mlp') {
    let inputShape: [number] | undefined = [model.features];
    for (const units of model.hidden) {
      layers.add(tf.layers.dense({ units, inputShape, activation: 'relu' }));
      inputShape = undefined;
    }
  } else {
    const [channels, height, width] = model.picture;
    let inputShape: [number, number, number] | undefined = [height, width, channels];
    for (const filters of model.channels) {
      const block = { filters, kernelSize: 3, padding: 'same', activation: 'relu' } as const;
      layers.add(tf.layers.conv2d({ inputShape, ...block }));
      layers.add(tf.layers.maxPooling2d({ poolSize: 2 }));
      inputShape = undefined;
    }
    layers.add(tf.layers.flatten());
  }
  layers.add(tf.layers.dense({ units: model.classes }));
  return layers;
}

/** From ONNX's layout to that of Layers; after a flatten, rows go from [C, H, W] to [H, W, C]. */
function converted({ dims, data }: Weight, model: MlpModel | CnnModel): tf.Tensor {
  const tensor = tf.tensor(data, [...dims]);
  if (dims.length === 4) return tf.transpose(tensor, [2, 3, 1, 0]);
  if (dims.length !== 2) return tensor;
  if (model.kind === 'mlp') return tf.transpose(tensor);
  const [units = 1, features = 1] = dims;
  const channels = model.channels.at(-1) ?? 1;
  const edge = Math.sqrt(features / channels);
  const picture = tf.reshape(tensor, [units, channels, edge, edge]);
  return tf.reshape(tf.transpose(picture, [2, 3, 1, 0]), [features, units]);
}

interface Learner {
  readonly loss: () => tf.Scalar;
  readonly variables?: tf.Variable[];
}

function layersLearner(model: MlpModel | CnnModel): Learner {
  const layers = layersOf(model);
  layers.setWeights(weightsOf(model).map((weight) => converted(weight, model)));
  const { features, labels } = batchOf(model);
  const x =
    model.kind === 'mlp'
      ? tf.tensor2d(features, [model.batch, model.features])
      : tf.transpose(tf.tensor(features, [model.batch, ...model.picture]), [0, 2, 3, 1]);
  const y = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), model.classes), 'float32');
  return { loss: () => tf.losses.softmaxCrossEntropy(y, layers.apply(x) as tf.Tensor) };
}

function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  const scale = 1 / Math.sqrt(q.shape[3] ?? 1);
  const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), scale), mask);
  return tf.matMul(tf.softmax(scores), v);
}

/** 0 on and below the diagonal, −10⁹ above. */
function causalMask(length: number): tf.Tensor {
  const ones = tf.ones([length, length]);
  return tf.mul(tf.sub(1, tf.linalg.bandPart(ones as tf.Tensor2D, -1, 0)), -1e9);
}

/** [batch, length, heads · size] -> [batch, heads, length, size] */
function heads(x: tf.Tensor, count: number): tf.Tensor {
  const [batch = 1, length = 1, width = 1] = x.shape;
  return tf.transpose(tf.reshape(x, [batch, length, count, width / count]), [0, 2, 1, 3]);
}

function gptLearner(model: Extract<Model, GptModel>): Learner {
  const { batch, context, width, vocabulary } = model;
  const rows = rowsOf(model);
  const variables = new Map(
    weightsOf(model).map(({ name, dims, data }) => [name, tf.variable(tf.tensor(data, [...dims]))]),
  );
  const weight = (name: string): tf.Variable => {
    const found = variables.get(name);
    if (!found) throw new Error(`The model has no weight "${name}".`);
    return found;
  };
  const oneHot = (numbers: Float32Array | Int32Array) =>
    tf.cast(tf.oneHot(tf.tensor1d(numbers, 'int32'), vocabulary), 'float32');
  const { features, labels } = batchOf(model);
  // The gradient of a gather is missing on one backend and slow on the other; of a product it is neither.
  const [x, y, mask] = [oneHot(features), oneHot(labels), causalMask(context)];
  const norm = (name: string, value: tf.Tensor): tf.Tensor => {
    const { mean, variance } = tf.moments(value, -1, true);
    const standard = tf.div(tf.sub(value, mean), tf.sqrt(tf.add(variance, 1e-5)));
    return tf.add(tf.mul(standard, weight(`${name}.weight`)), weight(`${name}.bias`));
  };
  const linear = (name: string, value: tf.Tensor): tf.Tensor =>
    tf.add(tf.matMul(value, weight(`${name}.weight`)), weight(`${name}.bias`));
  const gelu = (u: tf.Tensor): tf.Tensor => {
    const cubic = tf.add(u, tf.mul(tf.mul(tf.mul(u, u), u), 0.044715));
    return tf.mul(tf.mul(u, 0.5), tf.add(tf.tanh(tf.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
  };
  const block = (name: string, before: tf.Tensor): tf.Tensor => {
    const qkv = linear(`${name}.attention.qkv`, norm(`${name}.norm_1`, before));
    const [q, k, v] = tf
      .split(tf.reshape(qkv, [batch, context, 3 * width]), 3, -1)
      .map((part) => heads(part, model.heads)) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const mixed = tf.reshape(tf.transpose(attention(q, k, v, mask), [0, 2, 1, 3]), [rows, width]);
    const middle = tf.add(before, linear(`${name}.attention.out`, mixed));
    const active = gelu(linear(`${name}.mlp.up`, norm(`${name}.norm_2`, middle)));
    return tf.add(middle, linear(`${name}.mlp.down`, active));
  };
  return {
    variables: [...variables.values()],
    loss: () => {
      const tokens = tf.reshape(tf.matMul(x, weight('tokens.weight')), [batch, context, width]);
      let h = tf.reshape(tf.add(tokens, weight('positions.weight')), [rows, width]);
      for (let index = 0; index < model.layers; index++) h = block(`blocks.${index}`, h);
      const logits = tf.matMul(norm('norm', h), weight('head.weight'));
      return tf.losses.softmaxCrossEntropy(y, logits);
    },
  };
}

export async function tfjsModel(model: Model, backend: Backend): Promise<Contender> {
  await useBackend(backend);
  const { loss, variables } = model.kind === 'gpt' ? gptLearner(model) : layersLearner(model);
  const { optimiser } = model;
  if (optimiser.kind !== 'adam') throw new Error('The bench gives tfjs only Adam.');
  const adam = tf.train.adam(
    model.learningRate,
    optimiser.beta1,
    optimiser.beta2,
    optimiser.epsilon,
  );
  return {
    version,
    async run(times) {
      let last = NaN;
      for (let index = 0; index < times; index++) {
        const cost = adam.minimize(loss, true, variables);
        if (cost === null) throw new Error('tfjs gave no loss.');
        [last = NaN] = await cost.data();
        cost.dispose();
      }
      return last;
    },
  };
}

export async function tfjsOperator(task: OperatorTask, backend: Backend): Promise<Contender> {
  await useBackend(backend);
  const operands = task.inputs.map(({ name, dims, data }) => {
    const tensor = tf.tensor(data, [...dims]);
    if (task.name !== 'conv') return tensor;
    // Its layout: kernels are [height, width, in, out], pictures [height, width, channels].
    return tf.transpose(tensor, name === 'b' ? [2, 3, 1, 0] : [0, 2, 3, 1]);
  });
  const mask = causalMask(task.inputs[0]?.dims[1] ?? 1);
  const forward = (...[a, b, c]: tf.Tensor[]): tf.Tensor => {
    if (!a || !b) throw new Error('An operator needs two operands.');
    if (task.name === 'matmul') return tf.matMul(a, b);
    if (task.name === 'conv') return tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, 'same');
    if (!c) throw new Error('Attention needs three operands.');
    const [q, k, v] = [a, b, c].map((x) => heads(x, task.heads));
    if (!q || !k || !v) throw new Error('Attention needs three operands.');
    return tf.reshape(tf.transpose(attention(q, k, v, mask), [0, 2, 1, 3]), a.shape);
  };
  const g = operands.at(-1);
  if (!g) throw new Error('An operator needs operands.');
  const learned = operands.slice(0, -1);
  const gradients = tf.grads((...xs: tf.Tensor[]) => forward(...xs));
  const results = (): tf.Tensor[] =>
    task.gradient ? gradients(learned, g) : [forward(...operands)];
  return {
    version,
    async run(times) {
      let sum = NaN;
      for (let index = 0; index < times; index++) {
        const probes = tf.tidy(() => results().map((y) => tf.slice(tf.reshape(y, [-1]), 0, 1)));
        sum = 0;
        for (const probe of probes) sum += (await probe.data())[0] ?? NaN;
        tf.dispose(probes);
      }
      return sum;
    },
  };
}
