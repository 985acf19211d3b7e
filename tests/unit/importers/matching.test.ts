import { describe, expect, it } from 'vitest';
import { buildBlueprint } from '../../../src/blueprints/build';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { outputsOf, withWeightsOf } from '../../../src/importers/matching';
import type { Tensor } from '../../../src/onnx/graph';
import type { OwnBlueprint } from '../../../src/protocol/entities';

const cnn: OwnBlueprint = {
  kind: 'cnn',
  channels: [2, 3],
  batchNorm: true,
  pool: 'max',
  globalPool: true,
  dense: 4,
  dropout: 0,
};
const options = { featureDims: [1, 8, 8], outputs: 3 };

/** What PyTorch's `nn.Sequential` of the same layers would call them, in the order of a safetensors file. */
function torchNames(weights: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const prefixes = [...new Set([...weights.keys()].map((name) => name.replace(/\.[^.]*$/, '')))];
  const renamed = [...weights].map(([name, tensor]): [string, Tensor] => {
    const index = prefixes.indexOf(name.replace(/\.[^.]*$/, '')) * 3;
    return [`${index}.${name.split('.').at(-1)?.replace('scale', 'weight') ?? ''}`, tensor];
  });
  renamed.push(['3.num_batches_tracked', { dtype: 'int64', dims: [], data: BigInt64Array.of(9n) }]);
  return new Map(renamed.sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('weights of another program', () => {
  const ours = buildBlueprint(cnn, { ...options, seed: 1 });
  const theirs = buildBlueprint(cnn, { ...options, seed: 2 });
  const weights = new Map([...theirs.initializers].filter(([name]) => name.includes('.')));
  const x = {
    dtype: 'float32' as const,
    dims: [1, 1, 8, 8],
    data: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
  };
  const logits = (graph: typeof ours) => [
    ...(runGraph(graph, new Map([['features', x]])).get('logits')?.data ?? []),
  ];

  it('go in by name', () => {
    expect(logits(withWeightsOf(ours, weights))).toEqual(logits(theirs));
    expect(logits(ours)).not.toEqual(logits(theirs));
  });

  it('go in layer by layer under PyTorch’s names', () => {
    expect(logits(withWeightsOf(ours, torchNames(weights)))).toEqual(logits(theirs));
  });

  it('go in kind by kind where the names sort the kinds apart', () => {
    const prefixes = { conv: 'features.conv', bn: 'features.bn' };
    const named = [...weights].map(([name, tensor]): [string, Tensor] => {
      const [, block = '', kind = '', part = ''] = /^block(\d)\.(conv|bn)\.(.*)$/.exec(name) ?? [];
      const torch = (part || (name.split('.').at(-1) ?? '')).replace('scale', 'weight');
      if (kind === 'conv' || kind === 'bn') return [`${prefixes[kind]}${block}.${torch}`, tensor];
      return [`classifier.${name.startsWith('output') ? 3 : 0}.${torch}`, tensor];
    });
    const sorted = new Map(named.sort(([a], [b]) => (a < b ? -1 : 1)));
    expect([...sorted.keys()][0]).toBe('classifier.0.bias');
    const width = weights.get('output.weight')?.dims[1] ?? 0;
    expect(outputsOf(sorted, 'output.weight', width)).toBe(3);
    expect(logits(withWeightsOf(ours, sorted))).toEqual(logits(theirs));
  });

  it('are refused when a layer is missing, or has another shape', () => {
    const some = new Map([...torchNames(weights)].filter(([name]) => !name.startsWith('0.')));
    expect(() => withWeightsOf(ours, some)).toThrow(/layers, and this model has/);
    const wide = buildBlueprint({ ...cnn, dense: 5 }, { ...options, seed: 2 });
    const wider = new Map([...wide.initializers].filter(([name]) => name.includes('.')));
    expect(() => withWeightsOf(ours, torchNames(wider))).toThrow(
      /needs \[4, 3\], and ".*" in the file has float32 \[5, 3\]/,
    );
  });
});
