/** Masks that the host draws are the numbers that DropoutMask draws, whoever runs the graph. */
import { describe, expect, it } from 'vitest';
import { dropoutKey, philox4x32, purposeHash } from '../../../src/core/philox';
import { withHostMasks } from '../../../src/engine/host-masks';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import { inferShapes } from '../../../src/ops/infer-shapes';

const DIMS = [3, 2, 5];

function maskNode(builder: GraphBuilder, name: string, change: Record<string, Attribute> = {}) {
  return builder.node(
    'DropoutMask',
    ['dropout_key'],
    {
      dims: attr.ints(DIMS),
      ratio: attr.float(0.25),
      purpose: attr.int(purposeHash('dropout:drop1')),
      ...change,
    },
    { domain: TRAINING_DOMAIN, outputs: [name] },
  );
}

/** y = x · mask + mask again, of another layer too. */
function graphOf(): Graph {
  const builder = new GraphBuilder('masks');
  builder.input('x', 'float32', DIMS);
  builder.input('dropout_key', 'int32', [4]);
  const first = maskNode(builder, 'drop1/mask');
  const again = maskNode(builder, 'drop1/mask/again');
  const other = maskNode(builder, 'drop2/mask', {
    purpose: attr.int(purposeHash('dropout:drop2')),
  });
  const product = builder.node('Mul', ['x', first]);
  const sum = builder.node('Add', [product, again]);
  builder.node('Add', [sum, other], {}, { outputs: ['y'] });
  builder.output('y', 'float32', DIMS);
  return builder.build();
}

describe('DropoutMask', () => {
  it('follows the counter layout, in every part and for seeds of two words', async () => {
    const builder = new GraphBuilder('mask');
    builder.input('dropout_key', 'int32', [4]);
    builder.output(maskNode(builder, 'mask'), 'float32', DIMS);
    const executor = createReferenceExecutor();
    const state = await executor.createState([]);
    const outputs = { updates: new Map(), outputs: ['mask'] };
    const program = await executor.compile(builder.build(), state, outputs);
    const seed = 7 * 2 ** 32 + 0xf0000001;
    for (const part of [0, 2]) {
      const key = dropoutKey(seed, 9, part);
      const mask = (await program.step(new Map([['dropout_key', key]])).read()).get('mask');
      const purpose = purposeHash('dropout:drop1');
      const expected = [0, 1, 2].flatMap((row) =>
        [0, 1, 2]
          .flatMap((block) => philox4x32([block, part * 3 + row, 9, purpose], [0xf0000001, 7]))
          .slice(0, 10)
          .map((word) => (word >= 2 ** 30 ? Math.fround(4 / 3) : 0)),
      );
      expect([...(mask ?? [])]).toEqual(expected);
    }
  });

  it('is the same bits drawn on the host, and a mask that is drawn twice is fed once', async () => {
    const graph = graphOf();
    const hosted = withHostMasks(graph);
    expect(hosted.graph.inputs.map(({ name }) => name)).toEqual(['x', 'drop1/mask', 'drop2/mask']);
    const executor = createReferenceExecutor();
    const state = await executor.createState([]);
    const options = { updates: new Map(), outputs: ['y'] };
    const own = await executor.compile(graph, state, options);
    const around = hosted.around(await executor.compile(hosted.graph, state, options));
    for (let step = 1; step <= 3; step++) {
      const feeds = new Map<string, Float32Array | Int32Array>([
        ['x', Float32Array.from({ length: 30 }, (_, i) => i - 3.5)],
        ['dropout_key', dropoutKey(4, step)],
      ]);
      const [a, b] = [await own.step(feeds).read(), await around.step(feeds).read()];
      expect(b).toEqual(a);
      const timed = await around.profile?.(feeds);
      expect(await timed?.ticket.read()).toEqual(a);
    }
    expect(around.stats).toMatchObject({ steps: 6 });
    expect(() => around.step(new Map())).toThrow(
      expect.objectContaining({
        code: 'engine/feed',
        message: expect.stringContaining('key') as string,
      }),
    );
  });

  it('leaves a graph without masks alone', () => {
    const builder = new GraphBuilder('none');
    builder.input('x', 'float32', [1]);
    builder.output(builder.node('Neg', ['x']), 'float32', [1]);
    const graph = builder.build();
    expect(withHostMasks(graph).graph).toBe(graph);
  });

  it.each([
    ['ratio', { ratio: attr.float(1) }, 'int32', [4]],
    ['dims', { dims: attr.ints([]) }, 'int32', [4]],
    ['dropout_key', {}, 'int32', [3]],
    ['dropout_key', {}, 'float32', [4]],
  ] as const)('a wrong %s is named', (port, change, dtype, dims) => {
    const builder = new GraphBuilder('wrong');
    builder.input('dropout_key', dtype, dims);
    maskNode(builder, 'mask', change);
    expect(() => inferShapes(builder.build())).toThrow(
      expect.objectContaining({
        code: 'onnx/shape',
        message: expect.stringContaining(port) as string,
      }),
    );
  });
});
