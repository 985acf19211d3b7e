/** Stock TensorFlow.js: a Layers model and its own Adam, as its documentation shows. */
import * as tf from '@tensorflow/tfjs';
import { BETA1, BETA2, CLASSES, EPSILON, LEARNING_RATE, weightsOf } from './task';
import type { Contender, Task, Weight } from './task';

async function useBackend(backend: 'webgpu' | 'wasm'): Promise<void> {
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

function modelOf(task: Task): tf.Sequential {
  const model = tf.sequential();
  if (task.name === 'mlp') {
    model.add(tf.layers.dense({ units: 128, inputShape: [784], activation: 'relu' }));
  } else {
    const block = { kernelSize: 3, padding: 'same', activation: 'relu' } as const;
    model.add(tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 16, ...block }));
    model.add(tf.layers.maxPooling2d({ poolSize: 2 }));
    model.add(tf.layers.conv2d({ filters: 32, ...block }));
    model.add(tf.layers.maxPooling2d({ poolSize: 2 }));
    model.add(tf.layers.flatten());
  }
  model.add(tf.layers.dense({ units: CLASSES }));
  return model;
}

/** From ONNX's layout to that of Layers; after a flatten, rows go from [C, H, W] to [H, W, C]. */
function converted({ dims, data }: Weight, flattened: boolean): tf.Tensor {
  const tensor = tf.tensor(data, [...dims]);
  if (dims.length === 4) return tf.transpose(tensor, [2, 3, 1, 0]);
  if (dims.length !== 2) return tensor;
  if (!flattened) return tf.transpose(tensor);
  const [units = 1, features = 1] = dims;
  return tf.reshape(tf.transpose(tf.reshape(tensor, [units, 32, 7, 7]), [2, 3, 1, 0]), [
    features,
    units,
  ]);
}

export async function stockTfjs(task: Task, backend: 'webgpu' | 'wasm'): Promise<Contender> {
  await useBackend(backend);
  const model = modelOf(task);
  model.setWeights(weightsOf(task).map((weight) => converted(weight, task.name === 'cnn')));
  const optimizer = tf.train.adam(LEARNING_RATE, BETA1, BETA2, EPSILON);
  // One channel, so the order of channels does not matter.
  const x = tf.tensor(
    task.features,
    task.name === 'mlp' ? [task.batch, 784] : [task.batch, 28, 28, 1],
  );
  const y = tf.cast(tf.oneHot(tf.tensor1d(task.labels, 'int32'), CLASSES), 'float32');
  const loss = (): tf.Scalar => tf.losses.softmaxCrossEntropy(y, model.apply(x) as tf.Tensor);
  return {
    version: `tfjs ${tf.version.tfjs}`,
    async step() {
      const cost = optimizer.minimize(loss, true);
      if (cost === null) throw new Error('tfjs gave no loss.');
      const [value = NaN] = await cost.data();
      cost.dispose();
      return value;
    },
  };
}
