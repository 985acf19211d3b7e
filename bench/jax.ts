/**
 * jax-js: value, gradient and Adam in one jitted function. Its arrays are consumed by use; `.ref` keeps one more
 * reference.
 */
import { defaultDevice, init, jit, lax, nn, numpy as np, valueAndGrad } from '@jax-js/jax';
import { BETA1, BETA2, CLASSES, EPSILON, LEARNING_RATE, weightsOf } from './task';
import type { Contender, Task } from './task';
import { JAX_VERSION } from './versions';

type Values = np.Array[];

/** [batch, C, H, W] -> [batch, C, H / 2, W / 2] */
function maxPool(x: np.Array): np.Array {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
  return np.max(x.reshape([batch, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}

function logits(task: Task, weights: Values, x: np.Array): np.Array {
  const [a, b, c, d, e, f] = weights as [
    np.Array,
    np.Array,
    np.Array,
    np.Array,
    np.Array,
    np.Array,
  ];
  if (task.name === 'mlp') {
    const hidden = nn.relu(np.matmul(x, np.transpose(a)).add(b));
    return np.matmul(hidden, np.transpose(c)).add(d);
  }
  const block = (input: np.Array, kernel: np.Array, bias: np.Array): np.Array =>
    maxPool(nn.relu(lax.conv(input, kernel, [1, 1], 'SAME').add(bias.reshape([-1, 1, 1]))));
  const pooled = block(block(x, a, b), c, d);
  return np.matmul(pooled.reshape([task.batch, 1568]), np.transpose(e)).add(f);
}

export async function jaxJs(task: Task, backend: 'webgpu' | 'wasm'): Promise<Contender> {
  const devices = await init(backend);
  if (!devices.includes(backend)) throw new Error(`jax-js has no ${backend} device here.`);
  defaultDevice(backend);
  const zip = (make: (...values: Values) => np.Array, ...lists: Values[]): Values =>
    (lists[0] ?? []).map((_, index) => make(...lists.map((list) => list[index] as np.Array)));
  const gradient = valueAndGrad((weights: Values, x: np.Array, y: np.Array) =>
    nn
      .logSoftmax(logits(task, weights, x))
      .mul(y)
      .sum(-1)
      .mean()
      .neg(),
  );
  const update = jit(
    (
      w: Values,
      m: Values,
      v: Values,
      x: np.Array,
      y: np.Array,
      rate1: np.Array,
      rate2: np.Array,
    ) => {
      const [loss, g] = gradient(
        w.map((value) => value.ref),
        x,
        y,
      ) as [np.Array, Values];
      const first = zip(
        (a, b) => (a as np.Array).mul(BETA1).add((b as np.Array).ref.mul(1 - BETA1)),
        m,
        g,
      );
      const second = zip(
        (a, b) =>
          (a as np.Array).mul(BETA2).add((b as np.Array).ref.mul(b as np.Array).mul(1 - BETA2)),
        v,
        g,
      );
      const next = zip(
        (value, a, b) => {
          const deviation = np.sqrt((b as np.Array).ref.mul(rate2.ref)).add(EPSILON);
          return (value as np.Array).sub((a as np.Array).ref.mul(rate1.ref).div(deviation));
        },
        w,
        first,
        second,
      );
      rate1.dispose();
      rate2.dispose();
      return [next, first, second, loss] as [Values, Values, Values, np.Array];
    },
  );
  const initial = weightsOf(task);
  let w = initial.map(({ data, dims }) => np.array(new Float32Array(data), { shape: [...dims] }));
  let m = initial.map(({ dims }) => np.zeros([...dims]));
  let v = initial.map(({ dims }) => np.zeros([...dims]));
  const x = np.array(new Float32Array(task.features), { shape: [task.batch, ...task.featureDims] });
  const y = nn.oneHot(np.array(new Int32Array(task.labels), { dtype: np.int32 }), CLASSES);
  let count = 0;
  return {
    version: `jax-js ${JAX_VERSION}`,
    async step() {
      count++;
      const rate1 = np.array(LEARNING_RATE / (1 - BETA1 ** count));
      const rate2 = np.array(1 / (1 - BETA2 ** count));
      const [nextW, nextM, nextV, loss] = update(w, m, v, x.ref, y.ref, rate1, rate2);
      [w, m, v] = [nextW, nextM, nextV];
      const [value = NaN] = await loss.data();
      return value;
    },
  };
}
