import { describe, expect, it } from 'vitest';
import { learningOf } from '../../../src/blueprints/pretrained';
import type { FineTuneStrategy, PretrainedBlueprint } from '../../../src/protocol/fine-tune';
import {
  defaultSide,
  misfit,
  pictureFor,
  pretrainedBlueprint,
} from '../../../src/services/pretrained';
import { sizeOf } from '../../../src/core/dtype';
import { asBase } from '../../../src/training/base';
import { describeBase } from '../../../src/training/describe-base';
import { prepareLesson } from '../../../src/training/lesson';
import { GraphBuilder } from '../../../src/onnx/builder';
import type { DatasetManifest } from '../../../src/protocol/entities';
import { tinyClassifier } from '../../support/tiny-body';

const base = { graph: asBase(tinyClassifier()), name: 'tiny', sha256: '0'.repeat(64) };
const summary = describeBase(base.graph);

function blueprint(change: Partial<PretrainedBlueprint>): PretrainedBlueprint {
  return {
    kind: 'pretrained',
    source: { kind: 'own', sha256: base.sha256 },
    cut: null,
    head: { hidden: 0, dropout: 0 },
    strategy: { kind: 'head' },
    batchNorm: 'frozen',
    picture: null,
    ...change,
  };
}

function pictures(channels: number, side: number): DatasetManifest {
  return {
    format: 1,
    type: 'images',
    name: 'shapes',
    rows: 9,
    channels,
    height: side,
    width: side,
    classes: ['a', 'b', 'c'],
    pixels: [],
    labels: [],
    source: { kind: 'folder', name: 'shapes' },
  };
}

const STRATEGIES: readonly FineTuneStrategy[] = [
  { kind: 'head' },
  { kind: 'last-blocks', blocks: 1 },
  { kind: 'last-blocks', blocks: 9 },
  { kind: 'full', depthDecay: 0.5 },
  { kind: 'gradual', epochsPerBlock: 2, depthDecay: 1 },
  { kind: 'lora', rank: 3, alpha: 3, dropout: 0, targets: '*' },
  { kind: 'lora', rank: 1, alpha: 1, dropout: 0.1, targets: 'nothing, block2.conv' },
];

describe('numbers that learn, as the page counts them', () => {
  it.each(STRATEGIES)('are those that train: %j', (strategy) => {
    for (const hidden of [0, 7]) {
      const wanted = blueprint({ strategy, head: { hidden, dropout: 0.2 } });
      const options = { featureDims: [1, 8, 8], outputs: 3, seed: 1 };
      const { forward, trainable } = prepareLesson(wanted, base, options);
      const sizes = trainable.map((name) => sizeOf(forward.initializers.get(name)?.dims ?? [0]));
      const counted = learningOf(summary, wanted, 3);
      expect(counted.total).toBe(sizes.reduce((sum, size) => sum + size, 0));
    }
  });

  it('follow the cut', () => {
    const cut = summary.cuts.find(({ blocks }) => blocks === 1)?.value ?? null;
    const earlier = blueprint({ cut, strategy: { kind: 'full', depthDecay: 1 } });
    const options = { featureDims: [1, 8, 8], outputs: 3, seed: 1 };
    const { forward, trainable } = prepareLesson(earlier, base, options);
    const sizes = trainable.map((name) => sizeOf(forward.initializers.get(name)?.dims ?? [0]));
    const counted = learningOf(summary, earlier, 3);
    expect(counted.blocks).toHaveLength(1);
    expect(counted.total).toBe(sizes.reduce((sum, size) => sum + size, 0));
  });
});

describe('what is understood of a model', () => {
  it('is its head, its places to cut, its blocks and the pictures that it takes', () => {
    expect(summary.head).toEqual({ node: 'classifier', outputs: 5, features: 12 });
    expect(summary.cuts[0]).toMatchObject({ features: 12, blocks: summary.blocks.length });
    expect(summary.picture).toEqual({ channels: 1, sizes: [8], pixels: null });
    expect(summary.trainingBlockers).toEqual([]);
    expect(misfit(summary, pictures(1, 28))).toBeNull();
  });

  it('names what stops it', () => {
    expect(misfit(summary, pictures(3, 28))).toContain('grey pictures');
    const builder = new GraphBuilder('two');
    const a = builder.input('a', 'float32', ['batch', 4]);
    const b = builder.input('b', 'float32', ['batch', 4]);
    builder.output(builder.node('Add', [a, b]), 'float32', ['batch', 4]);
    const [blocker] = describeBase(asBase(builder.build())).runBlockers;
    expect(blocker?.reason).toContain('2 inputs ("a", "b")');
    const source = { kind: 'own', sha256: base.sha256 } as const;
    expect(() => pretrainedBlueprint(source, summary, pictures(3, 28))).toThrow(/does not fit/);
  });

  it('chooses the size and the levels of pictures', () => {
    expect(defaultSide([96, 128, 224], 28)).toBe(96);
    expect(defaultSide([96, 128, 224], 64)).toBe(128);
    expect(defaultSide([96, 128, 224], 200)).toBe(224);
    const pixels = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2] };
    const coloured = { picture: { channels: 3, sizes: [96], pixels } };
    expect(pictureFor(coloured, pictures(1, 28))).toEqual({
      resize: { height: 96, width: 96 },
      channelsTo: 3,
      mean: [0.5, 0.4, 0.3],
      std: [0.2, 0.2, 0.2],
    });
  });
});
