/**
 * jax-js: value, gradient and Adam in one jitted function. Its arrays are consumed by use; `.ref` keeps one more
 * reference.
 */
import { defaultDevice, grad, init, jit, lax, nn, numpy as np, valueAndGrad } from '@jax-js/jax';
import { batchOf, rowsOf } from './models';
import type { Model } from './models';
import type { GptModel } from './gpt';
import { weightsOf } from './tasks';
import type { Backend, Contender, OperatorTask, Weight } from './tasks';
import { JAX_VERSION } from './versions';

type Values = np.Array[];
/** The weight of a name, once. */
type Weights = (name: string) => np.Array;

async function useDevice(backend: Backend): Promise<void> {
  const devices = await init(backend);
  if (!devices.includes(backend)) throw new Error(`jax-js has no ${backend} device here.`);
  defaultDevice(backend);
}

const version = `jax-js ${JAX_VERSION}`;

function arrayOf(data: Float32Array, dims: readonly number[]): np.Array {
  return np.array(new Float32Array(data), { shape: [...dims] });
}

/** Dense weights as [in, out], which needs no transposing in the step. */
function initialOf({ name, dims, data }: Weight, model: Model): np.Array {
  const array = arrayOf(data, dims);
  if (model.kind === 'gpt' || dims.length !== 2) {
    return name.endsWith('.bias') && model.kind === 'cnn' && name.startsWith('block')
      ? array.reshape([-1, 1, 1])
      : array;
  }
  return np.transpose(array);
}

/** [batch, C, H, W] -> [batch, C, H / 2, W / 2] */
function maxPool(x: np.Array): np.Array {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
  return np.max(x.reshape([batch, channels, height / 2, 2, width / 2, 2]), [3, 5]);
}

function layersLogits(model: Exclude<Model, GptModel>, weights: Values, x: np.Array): np.Array {
  let value = x;
  const pairs = weights.length / 2;
  for (let index = 0; index < pairs; index++) {
    const [weight, bias] = weights.slice(2 * index, 2 * index + 2) as [np.Array, np.Array];
    if (weight.ndim === 4) {
      const sums = lax.conv(value, weight, [1, 1], 'SAME');
      value = maxPool(nn.relu(sums.add(bias)));
      continue;
    }
    if (value.ndim === 4) value = value.reshape([model.batch, -1]);
    value = np.matmul(value, weight).add(bias);
    if (index < pairs - 1) value = nn.relu(value);
  }
  return value;
}

function gptLogits(model: Extract<Model, GptModel>, weight: Weights, x: np.Array): np.Array {
  const { batch, context, width } = model;
  const rows = rowsOf(model);
  const norm = (name: string, value: np.Array) =>
    nn
      .standardize(value, -1)
      .mul(weight(`${name}.weight`))
      .add(weight(`${name}.bias`));
  const linear = (name: string, value: np.Array) =>
    np.matmul(value, weight(`${name}.weight`)).add(weight(`${name}.bias`));
  const tokens = np.matmul(x, weight('tokens.weight')).reshape([batch, context, width]);
  let h = tokens.add(weight('positions.weight')).reshape([rows, width]);
  for (let index = 0; index < model.layers; index++) {
    const name = `blocks.${index}`;
    const qkv = linear(`${name}.attention.qkv`, norm(`${name}.norm_1`, h.ref)).reshape([
      batch,
      context,
      3,
      model.heads,
      width / model.heads,
    ]);
    const [q, k] = [qkv.ref.slice([], [], 0), qkv.ref.slice([], [], 1)];
    const v = qkv.slice([], [], 2);
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([rows, width]);
    h = h.add(linear(`${name}.attention.out`, mixed));
    const active = nn.gelu(linear(`${name}.mlp.up`, norm(`${name}.norm_2`, h.ref)));
    h = h.add(linear(`${name}.mlp.down`, active));
  }
  return np.matmul(norm('norm', h), weight('head.weight'));
}

const zip = (make: (...values: Values) => np.Array, ...lists: Values[]): Values =>
  (lists[0] ?? []).map((_, index) => make(...lists.map((list) => list[index] as np.Array)));

/** [weights, first moments, second moments, loss] after one step of Adam (Kingma & Ba 2015). */
function stepOf(model: Model, names: readonly string[]) {
  const { optimiser, learningRate } = model;
  if (optimiser.kind !== 'adam') throw new Error('The bench gives jax-js only Adam.');
  const { beta1, beta2, epsilon } = optimiser;
  const logits = (weights: Values, x: np.Array): np.Array => {
    if (model.kind !== 'gpt') return layersLogits(model, weights, x);
    const byName = new Map(names.map((name, index) => [name, weights[index] as np.Array]));
    return gptLogits(model, (name) => byName.get(name) as np.Array, x);
  };
  const gradient = valueAndGrad((weights: Values, x: np.Array, y: np.Array) =>
    nn.logSoftmax(logits(weights, x)).mul(y).sum(-1).mean().neg(),
  );
  return jit(
    (
      w: Values,
      m: Values,
      v: Values,
      x: np.Array,
      y: np.Array,
      correction1: np.Array,
      correction2: np.Array,
    ) => {
      const [loss, g] = gradient(
        w.map((value) => value.ref),
        x,
        y,
      ) as [np.Array, Values];
      type Two = [np.Array, np.Array];
      const first = zip(
        (...[a, b]) => (a as np.Array).mul(beta1).add((b as np.Array).ref.mul(1 - beta1)),
        m,
        g,
      );
      const second = zip(
        (...values) => {
          const [a, b] = values as Two;
          return a.mul(beta2).add(b.ref.mul(b).mul(1 - beta2));
        },
        v,
        g,
      );
      const next = zip(
        (...values) => {
          const [value, a, b] = values as [np.Array, np.Array, np.Array];
          const deviation = np.sqrt(b.ref.mul(correction2.ref)).add(epsilon);
          return value.sub(a.ref.mul(correction1.ref).mul(learningRate).div(deviation));
        },
        w,
        first,
        second,
      );
      correction1.dispose();
      correction2.dispose();
      return [next, first, second, loss] as [Values, Values, Values, np.Array];
    },
  );
}

export async function jaxModel(model: Model, backend: Backend): Promise<Contender> {
  await useDevice(backend);
  const initial = weightsOf(model);
  const step = stepOf(
    model,
    initial.map(({ name }) => name),
  );
  let w = initial.map((weight) => initialOf(weight, model));
  const zeros = () => w.map(({ shape }) => np.zeros(shape));
  let [m, v] = [zeros(), zeros()];
  const { features, labels } = batchOf(model);
  const oneHot = (numbers: Float32Array | Int32Array, classes: number) =>
    nn.oneHot(np.array(new Int32Array(numbers), { dtype: np.int32 }), classes);
  const featureDims = model.kind === 'cnn' ? model.picture : [];
  const x =
    model.kind === 'gpt'
      ? oneHot(features, model.vocabulary)
      : arrayOf(
          Float32Array.from(features),
          model.kind === 'mlp' ? [model.batch, model.features] : [model.batch, ...featureDims],
        );
  const y = oneHot(labels, model.kind === 'gpt' ? model.vocabulary : model.classes);
  const { beta1, beta2 } = model.optimiser as { beta1: number; beta2: number };
  let count = 0;
  return {
    version,
    async run(times) {
      let last = NaN;
      for (let index = 0; index < times; index++) {
        count++;
        const corrections = [1 / (1 - beta1 ** count), 1 / (1 - beta2 ** count)] as const;
        const [first, second] = [np.array(corrections[0]), np.array(corrections[1])];
        const result = step(w, m, v, x.ref, y.ref, first, second);
        [w, m, v] = [result[0], result[1], result[2]];
        [last = NaN] = await result[3].data();
      }
      return last;
    },
  };
}

export async function jaxOperator(task: OperatorTask, backend: Backend): Promise<Contender> {
  await useDevice(backend);
  const operands = task.inputs.map(({ data, dims }) => arrayOf(data, dims));
  const forward = ([a, b, c]: Values): np.Array => {
    if (!a || !b) throw new Error('An operator needs two operands.');
    if (task.name === 'matmul') return np.matmul(a, b);
    if (task.name === 'conv') return lax.conv(a, b, [1, 1], 'SAME');
    if (!c) throw new Error('Attention needs three operands.');
    const [batch = 1, length = 1, width = 1] = a.shape;
    const [q, k, v] = [a, b, c].map((x) =>
      x.reshape([batch, length, task.heads, width / task.heads]),
    ) as [np.Array, np.Array, np.Array];
    return nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch, length, width]);
  };
  const gradients = grad((values: Values, g: np.Array) => forward(values).mul(g).sum());
  const compute = task.gradient
    ? jit((values: Values) => {
        const g = values.at(-1) as np.Array;
        return gradients(values.slice(0, -1), g) as Values;
      })
    : jit((values: Values) => [forward(values)]);
  return {
    version,
    async run(times) {
      let sum = NaN;
      for (let index = 0; index < times; index++) {
        const results = compute(operands.map((value) => value.ref));
        sum = 0;
        for (const y of results) {
          const [value = NaN] = await y.reshape([-1]).slice([0, 1]).data();
          sum += value;
        }
      }
      return sum;
    },
  };
}
