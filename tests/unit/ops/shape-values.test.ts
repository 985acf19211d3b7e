/** Shapes that graphs compute, as exporters write them, followed with symbolic lengths. */
import { describe, expect, it } from 'vitest';
import type { NumericDType } from '../../../src/core/dtype';
import { DTYPE_CODE } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Dim } from '../../../src/onnx/graph';
import { inferShapes } from '../../../src/ops/infer-shapes';

const INPUT = ['batch', 'height', 'width', 3] as const;

interface Made {
  readonly builder: GraphBuilder;
  readonly x: string;
  readonly shape: string;
  /** One length of the shape, as a vector. */
  dim(axis: number): string;
  /** One length of the shape, as a scalar. */
  scalar(axis: number): string;
  int(value: number): string;
}

/** The dims of a tensor that is made in the shape that `compute` gives: known only if its elements are. */
function shapeOf(compute: (made: Made) => string, dims: readonly Dim[] = INPUT): readonly Dim[] {
  const builder = new GraphBuilder('shapes');
  const x = builder.input('x', 'float32', dims);
  const shape = builder.node('Shape', [x]);
  const int = (value: number): string => builder.constant('int64', [], [value]);
  const target = compute({
    ...{ builder, x, shape, int },
    dim: (axis) => builder.node('Gather', [shape, builder.ints([axis])]),
    scalar: (axis) => builder.node('Gather', [shape, int(axis)]),
  });
  const made = builder.node('ConstantOfShape', [target]);
  return inferShapes(builder.build()).get(made)?.dims ?? [];
}

const cast = (builder: GraphBuilder, value: string, to: NumericDType): string =>
  builder.node('Cast', [value], { to: attr.int(DTYPE_CODE[to]) });

describe('chains of exporters', () => {
  it('PyTorch: gather, unsqueeze, concatenate', () => {
    const dims = shapeOf(({ builder, scalar }) => {
      const axes = builder.ints([0]);
      const parts = [0, 1].map((axis) => builder.node('Unsqueeze', [scalar(axis), axes]));
      return builder.node('Concat', [...parts, builder.ints([-1])], { axis: attr.int(0) });
    });
    expect(dims.slice(0, 2)).toEqual(['batch', 'height']);
  });

  it('PyTorch: expand with -1 for "as it is"', () => {
    // Where(shape == -1, ones, shape), which expand() writes in front of Expand
    const dims = shapeOf(({ builder, dim }) => {
      const wanted = builder.node('Concat', [dim(0), builder.ints([-1, 7])], { axis: attr.int(0) });
      const length = builder.node('Shape', [wanted]);
      const ones = builder.node('ConstantOfShape', [length], {
        value: attr.tensor({ dtype: 'int64', dims: [1], data: BigInt64Array.of(1n) }),
      });
      const minus = builder.node('Mul', [ones, builder.constant('int64', [], [-1])]);
      return builder.node('Where', [builder.node('Equal', [wanted, minus]), ones, wanted]);
    });
    expect(dims).toEqual(['batch', 1, 7]);
  });

  it('PyTorch: sizes from a floor division and a product', () => {
    const dims = shapeOf(({ builder, dim }) => {
      const half = builder.node('Div', [dim(1), builder.ints([2])]);
      const area = builder.node('Mul', [half, dim(2)]);
      const odd = builder.node('Mod', [dim(1), builder.ints([2])]);
      return builder.node('Concat', [half, area, odd], { axis: attr.int(0) });
    });
    expect(dims).toEqual(['(height//2)', '(height//2)*width', '-2*(height//2) + height']);
  });

  it('tf2onnx: cast, strided slice, squeeze, multiply, pack', () => {
    const dims = shapeOf(({ builder, shape }) => {
      const narrow = cast(builder, shape, 'int32');
      const pick = (axis: number): string => {
        const [from, to, on] = [axis, axis + 1, 0].map((own) => builder.ints([own]));
        const cut = builder.node('Slice', [narrow, from ?? '', to ?? '', on ?? '']);
        return builder.node('Squeeze', [cut, builder.ints([0])]);
      };
      const double = builder.node('Mul', [pick(1), builder.constant('int32', [], [2])]);
      const parts = [pick(0), double].map((own) =>
        builder.node('Unsqueeze', [cast(builder, own, 'int64'), builder.ints([0])]),
      );
      return builder.node('Concat', parts, { axis: attr.int(0) });
    });
    expect(dims).toEqual(['batch', '2*height']);
  });

  it('Keras: the batch and the product of the rest', () => {
    const dims = shapeOf(({ builder, shape, dim }) => {
      const [from, to] = [[1], [2 ** 31]].map((own) => builder.ints(own));
      const rest = builder.node('Slice', [shape, from ?? '', to ?? '']);
      const flat = builder.node('ReduceProd', [rest, builder.ints([0])], { keepdims: attr.int(1) });
      return builder.node('Concat', [dim(0), flat], { axis: attr.int(0) });
    });
    expect(dims).toEqual(['batch', '3*height*width']);
  });
});

describe('elements', () => {
  it.each<[string, (made: Made) => string, readonly Dim[]]>([
    [
      'split',
      ({ builder, shape }) => builder.nodes('Split', [shape, builder.ints([2, 2])], 2)[1] ?? '',
      ['width', 3],
    ],
    [
      'reverse',
      ({ builder, shape }) => {
        const [from, to, on, step] = [[-1], [-(2 ** 31)], [0], [-1]].map((own) =>
          builder.ints(own),
        );
        return builder.node('Slice', [shape, from ?? '', to ?? '', on ?? '', step ?? '']);
      },
      [3, 'width', 'height', 'batch'],
    ],
    [
      'size',
      ({ builder, x }) => builder.node('Reshape', [builder.node('Size', [x]), builder.ints([1])]),
      ['3*batch*height*width'],
    ],
    [
      'sum',
      ({ builder, shape }) => builder.node('ReduceSum', [shape, builder.ints([0])]),
      ['batch + height + width + 3'],
    ],
    [
      'maximum',
      ({ builder, dim }) => builder.node('Max', [dim(1), dim(2)]),
      ['max(height, width)'],
    ],
    ['least of one', ({ builder, dim }) => builder.node('Min', [dim(1), builder.ints([1])]), [1]],
    [
      'negative',
      ({ builder, dim }) => builder.node('Neg', [builder.node('Sub', [builder.ints([1]), dim(0)])]),
      ['batch - 1'],
    ],
    [
      'exact in floats',
      ({ builder, dim }) => {
        const wide = cast(builder, builder.node('Mul', [dim(1), builder.ints([4])]), 'float32');
        const half = builder.node('Div', [wide, builder.constant('float32', [], [2])]);
        return cast(builder, builder.node('Floor', [half]), 'int64');
      },
      ['2*height'],
    ],
    [
      'range',
      ({ builder, scalar, int }) => {
        const count = builder.node('Range', [int(0), scalar(0), int(2)]);
        return builder.node('Shape', [count]);
      },
      ['((batch + 1)//2)'],
    ],
    [
      'not less than nothing',
      ({ builder, dim }) => {
        const isLess = builder.node('Less', [dim(0), builder.ints([0])]);
        return builder.node('Where', [builder.node('Not', [isLess]), dim(0), builder.ints([5])]);
      },
      ['batch'],
    ],
    [
      'spread',
      ({ builder, dim }) => builder.node('Expand', [dim(1), builder.ints([2])]),
      ['height', 'height'],
    ],
  ])('%s', (_, compute, expected) => {
    expect(shapeOf(compute)).toEqual(expected);
  });

  it('are left open where they are not known', () => {
    const halves = shapeOf(({ builder, dim }) => {
      const half = builder.node('Mul', [
        cast(builder, dim(0), 'float32'),
        builder.constant('float32', [1], [0.5]),
      ]);
      return cast(builder, half, 'int64');
    });
    expect(halves).toEqual(['ConstantOfShape_0_0']);
  });

  it('that turn out to be numbers are constants', () => {
    const builder = new GraphBuilder('constant');
    const x = builder.input('x', 'float32', ['batch', 4, 6]);
    const shape = builder.node('Shape', [x]);
    const axis = builder.node('Gather', [shape, builder.ints([2])]);
    const y = builder.node('Tile', [builder.ints([1, 2]), axis]);
    expect(inferShapes(builder.build()).get(y)?.dims).toEqual([12]);
  });
});

describe('bodies', () => {
  it('see the elements of the values around them', () => {
    const builder = new GraphBuilder('outer');
    const x = builder.input('x', 'float32', ['batch', 4]);
    const shape = builder.node('Shape', [x]);
    const inner = new GraphBuilder('inner');
    const made = inner.node('ConstantOfShape', [shape], {}, { outputs: ['made'] });
    const body = {
      ...inner.build(),
      outputs: [{ name: made, dtype: 'float32', dims: [] as Dim[] }],
    } as const;
    const condition = builder.input('c', 'bool', []);
    const y = builder.node('If', [condition], {
      then_branch: attr.graph(body),
      else_branch: attr.graph(body),
    });
    expect(inferShapes(builder.build()).get(y)?.dims).toEqual(['batch', 4]);
  });
});
