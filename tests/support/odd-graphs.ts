/** Graphs at the edges of what an executor is asked to evaluate, each with inputs and the outputs that are right. */
import { encodeNumbers } from '../../src/core/number-format';
import type { NumericDType } from '../../src/core/dtype';
import { GraphBuilder } from '../../src/onnx/builder';
import { attr } from '../../src/onnx/graph';
import type { Graph, Tensor } from '../../src/onnx/graph';

export interface OddGraph {
  readonly name: string;
  readonly graph: Graph;
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly outputs: ReadonlyMap<string, Tensor>;
}

export function tensor(
  dtype: NumericDType,
  dims: readonly number[],
  values: readonly number[],
): Tensor {
  return { dtype, dims, data: encodeNumbers(dtype, values) };
}

type Tensors = Readonly<Record<string, Tensor>>;

function odd(
  name: string,
  inputs: Tensors,
  outputs: Tensors,
  build: (builder: GraphBuilder) => void,
): OddGraph {
  const builder = new GraphBuilder(name);
  for (const [input, { dtype, dims }] of Object.entries(inputs)) builder.input(input, dtype, dims);
  build(builder);
  for (const [output, { dtype, dims }] of Object.entries(outputs))
    builder.output(output, dtype, dims);
  return {
    name,
    graph: builder.build(),
    inputs: new Map(Object.entries(inputs)),
    outputs: new Map(Object.entries(outputs)),
  };
}

const named = (output: string) => ({ outputs: [output] });
const counting = (size: number): number[] => Array.from({ length: size }, (_, index) => index);

const x = tensor('float32', [2, 2], [1, -2, 3.5, 0]);
const empty = tensor('float32', [0, 2], []);
const deep = [1, 2, 1, 2, 1, 2, 2, 1];

export const ODD_GRAPHS: readonly OddGraph[] = [
  odd('an input that is an output', { x }, { x }, () => undefined),
  odd('an initialiser that is an output', { x }, { w: x, y: x }, (builder) => {
    builder.initializer('w', x);
    builder.node('Identity', ['x'], {}, named('y'));
  }),
  odd('outputs that are one value', { x }, { a: x, b: x, x }, (builder) => {
    builder.node('Identity', ['x'], {}, named('a'));
    builder.node('Identity', ['a'], {}, named('b'));
  }),
  odd(
    'outputs that follow from constants',
    { x },
    { y: tensor('int64', [2], [4, 2]) },
    (builder) => {
      const shape = builder.node('Shape', ['x']);
      builder.node('Mul', [shape, builder.constant('int64', [2], [2, 1])], {}, named('y'));
    },
  ),
  odd('an input that nothing reads', { x, unread: x }, { y: x }, (builder) => {
    builder.node('Identity', ['x'], {}, named('y'));
  }),
  odd('nothing at all', { empty }, { y: empty, z: empty }, (builder) => {
    builder.node('Relu', ['empty'], {}, named('y'));
    builder.node('Add', ['y', 'empty'], {}, named('z'));
  }),
  odd('nothing beside something', { empty, x }, { y: x }, (builder) => {
    const none = builder.node('Neg', ['empty']);
    builder.node('Concat', [none, 'x'], { axis: attr.int(0) }, named('y'));
  }),
  odd('a sum over nothing', { empty }, { y: tensor('float32', [2], [0, 0]) }, (builder) => {
    const axes = builder.constant('int64', [1], [0]);
    builder.node('ReduceSum', ['empty', axes], { keepdims: attr.int(0) }, named('y'));
  }),
  odd(
    'no axes',
    { a: tensor('float32', [], [3]), b: tensor('float32', [], [0.5]) },
    { y: tensor('float32', [], [1.5]), z: tensor('float32', [1], [3.5]) },
    (builder) => {
      builder.node('Mul', ['a', 'b'], {}, named('y'));
      const sum = builder.node('Add', ['a', 'b']);
      builder.node('Unsqueeze', [sum, builder.constant('int64', [1], [0])], {}, named('z'));
    },
  ),
  odd(
    'eight axes',
    { x: tensor('float32', deep, counting(16)), b: tensor('float32', [2, 1], [10, 20]) },
    {
      sum: tensor(
        'float32',
        deep,
        counting(16).map((value) => value + (value % 2 === 0 ? 10 : 20)),
      ),
      turned: tensor(
        'float32',
        [...deep].reverse(),
        counting(16).map(
          (value) => ([0, 8, 4, 12, 2, 10, 6, 14][value % 8] as number) + (value >> 3),
        ),
      ),
      part: tensor(
        'float32',
        [1, 2, 1, 2, 1, 2, 1, 1],
        counting(8).map((value) => value * 2 + 1),
      ),
      total: tensor('float32', [1, 1, 1, 1, 1, 1, 1, 1], [120]),
    },
    (builder) => {
      builder.node('Add', ['x', 'b'], {}, named('sum'));
      builder.node('Transpose', ['x'], {}, named('turned'));
      const [starts, ends, axes] = [[1], [2], [6]].map((list) =>
        builder.constant('int64', [1], list),
      );
      builder.node('Slice', ['x', starts ?? '', ends ?? '', axes ?? ''], {}, named('part'));
      builder.node('ReduceSum', ['x'], {}, named('total'));
    },
  ),
  odd(
    'a shape that is an input',
    { x, shape: tensor('int64', [3], [1, -1, 2]) },
    { y: { ...x, dims: [1, 2, 2] } },
    (builder) => {
      builder.node('Reshape', ['x', 'shape'], {}, named('y'));
    },
  ),
  odd(
    'constants too long to be settled before',
    { x: tensor('float32', [1], [1]) },
    {
      none: tensor('float32', [2000], new Array<number>(2000).fill(-Infinity)),
      tens: tensor(
        'float32',
        [1500],
        counting(1500).map((value) => value * 10 + 5),
      ),
      whole: tensor(
        'int32',
        [1100],
        counting(1100).map((value) => 3 - value),
      ),
    },
    (builder) => {
      const scalars = (...values: number[]) =>
        values.map((v) => builder.constant('float32', [], [v]));
      const value = attr.tensor(tensor('float32', [1], [-Infinity]));
      const filled = builder.node('ConstantOfShape', [builder.ints([2000])], { value });
      builder.node('Mul', [filled, 'x'], {}, named('none'));
      const range = builder.node('Range', scalars(5, 15005, 10));
      builder.node('Mul', [range, 'x'], {}, named('tens'));
      const bounds = [3, -1097, -1].map((bound) => builder.constant('int32', [], [bound]));
      builder.node('Range', bounds, {}, named('whole'));
    },
  ),
  odd(
    'logarithms where there is none',
    { x: tensor('float32', [3], [0, -1, 1]) },
    {
      y: tensor('float32', [3], [-Infinity, NaN, 0]),
      sum: tensor('float32', [1], [-Infinity]),
    },
    (builder) => {
      builder.node('Log', ['x'], {}, named('y'));
      builder.node('ReduceLogSum', ['x'], {}, named('sum'));
    },
  ),
  odd(
    'half precision',
    { x: tensor('float16', [2], [0.5, -2]) },
    { y: tensor('float16', [2], [0.25, 4]), z: tensor('float32', [2], [0.5, -2]) },
    (builder) => {
      builder.node('Mul', ['x', 'x'], {}, named('y'));
      builder.node('Cast', ['x'], { to: attr.int(1) }, named('z'));
    },
  ),
  odd(
    'whole numbers beyond float32',
    { x: tensor('int64', [2], [2 ** 24 + 1, -(2 ** 31)]), y: tensor('int64', [2], [2, 1]) },
    { z: tensor('int64', [2], [2 ** 24 + 3, -(2 ** 31) + 1]) },
    (builder) => {
      builder.node('Add', ['x', 'y'], {}, named('z'));
    },
  ),
  odd(
    'truth values',
    { x: tensor('bool', [2], [1, 0]), y: tensor('bool', [2], [1, 1]) },
    { both: tensor('bool', [2], [1, 0]), neither: tensor('bool', [2], [0, 1]) },
    (builder) => {
      builder.node('And', ['x', 'y'], {}, named('both'));
      builder.node('Not', ['x'], {}, named('neither'));
    },
  ),
];
