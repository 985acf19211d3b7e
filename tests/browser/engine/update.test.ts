/** The update of all weights in two kernels, as on a processor and as on a GPU: every optimiser against the reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { normals } from '../../../src/core/philox';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import type { Executor, Program, State, StateSpec } from '../../../src/engine/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import { optimiserStride } from '../../../src/ops/optimisers/spec';
import type { OptimiserName } from '../../../src/ops/optimisers/spec';
import { closeForms, openForms } from './kernel-forms';
import type { Form } from './kernel-forms';
import { distance } from './support';

let forms: Form[];
beforeAll(async () => {
  forms = await openForms({
    'as on a processor': { software: true },
    'as on a GPU': { software: false },
  });
});
afterAll(() => {
  closeForms(forms);
});

/** Shorter than a chunk, just one, several and a rest; more chunks than there are partial sums. */
const DIMS: readonly (readonly number[])[] = [[3], [32, 32], [], [65, 50], [271, 500]];
const FACTORS = [1, 0.5, 0, 2, 1];

interface Wanted {
  readonly kind: OptimiserName;
  readonly factors?: boolean;
  readonly lossScale?: number;
}

interface Update {
  readonly graph: Graph;
  readonly specs: readonly StateSpec[];
  readonly updates: ReadonlyMap<string, string>;
}

const gradientName = (index: number): string => `g${index}`;

function updateOf({ kind, factors, lossScale }: Wanted): Update {
  const builder = new GraphBuilder('update');
  const specs: StateSpec[] = [];
  const updates = new Map<string, string>();
  const inputs = ['learning_rate', 'step', 'clip_norm'];
  if (lossScale !== undefined) inputs.push('loss_scale');
  for (const name of inputs) builder.input(name, 'float32', []);
  const outputs: string[] = [];
  DIMS.forEach((dims, index) => {
    const weight = `w${index}`;
    const moments = optimiserStride(kind) === 4 ? ['m', 'v'] : ['m'];
    const entries = [weight, ...moments.map((moment) => `${weight}/${moment}`)];
    for (const name of entries) {
      builder.input(name, 'float32', dims);
      specs.push({ name, dims });
      updates.set(name, `${name}/new`);
      outputs.push(`${name}/new`);
    }
    builder.input(gradientName(index), 'float32', dims);
    inputs.push(weight, gradientName(index), ...entries.slice(1));
  });
  if (factors) inputs.push(builder.input('factors', 'float32', [DIMS.length]));
  const attributes: Record<string, Attribute> = {
    weight_decay: attr.float(0.1),
    momentum: attr.float(0.9),
    decay_mask: attr.ints([0, 1, 0, 1, 1]),
    ...(lossScale === undefined ? {} : { loss_scaled: attr.int(1) }),
  };
  const options = { domain: TRAINING_DOMAIN, outputs: [...outputs, 'grad_norm', 'step_done'] };
  builder.nodes(kind, inputs, options.outputs.length, attributes, options);
  for (const name of ['grad_norm', 'step_done']) builder.output(name, 'float32', []);
  for (const { name, dims } of specs) builder.output(`${name}/new`, 'float32', dims);
  return { graph: builder.build(), specs, updates };
}

function feedsOf({ factors, lossScale = 1 }: Wanted, step: number): Map<string, Float32Array> {
  const feeds = new Map<string, Float32Array>([
    ['learning_rate', Float32Array.of(0.01)],
    ['step', Float32Array.of(step)],
    // The first step is not clipped, the second is, the third knows no limit.
    ['clip_norm', Float32Array.of([1e4, 0.5, 0][step - 1] ?? 0)],
  ]);
  if (lossScale !== 1) feeds.set('loss_scale', Float32Array.of(lossScale));
  DIMS.forEach((dims, index) => {
    feeds.set(gradientName(index), normals(sizeOf(dims), lossScale, step, gradientName(index)));
  });
  if (factors) feeds.set('factors', Float32Array.from(FACTORS));
  return feeds;
}

interface Opened {
  readonly state: State;
  readonly program: Program;
}

async function open(executor: Executor, { graph, specs, updates }: Update): Promise<Opened> {
  const state = await executor.createState(specs);
  await state.write(
    new Map(
      specs.map(({ name, dims }) => {
        const moment = /\/[mv]$/.test(name);
        const values = normals(sizeOf(dims), moment ? 0 : 1, 9, name);
        return [name, values];
      }),
    ),
  );
  const outputs = ['grad_norm', 'step_done'];
  return { state, program: await executor.compile(graph, state, { updates, outputs }) };
}

const close = ({ state, program }: Opened): void => {
  program.dispose();
  state.dispose();
};

const WANTED: readonly Wanted[] = [
  { kind: 'SGD' },
  { kind: 'Adam' },
  { kind: 'AdamW' },
  { kind: 'Lion' },
  { kind: 'AdamW', factors: true },
  { kind: 'AdamW', lossScale: 1024 },
  { kind: 'SGD', factors: true, lossScale: 1024 },
];

describe.each(WANTED)('%j', (wanted) => {
  it('is the reference’s, step by step', async () => {
    const update = updateOf(wanted);
    const oracle = await open(createReferenceExecutor(), update);
    for (const { name: form, executor } of forms) {
      await oracle.state.write(await initial(update));
      const own = await open(executor, update);
      for (let step = 1; step <= 3; step++) {
        const feeds = feedsOf(wanted, step);
        const [got, want] = await Promise.all(
          [own, oracle].map(({ program }) => program.step(feeds).read()),
        );
        expect(got?.get('step_done')?.[0]).toBe(step);
        const norm = want?.get('grad_norm')?.[0] ?? NaN;
        expect(Math.abs((got?.get('grad_norm')?.[0] ?? NaN) / norm - 1), form).toBeLessThan(1e-5);
        const [found, expected] = [await own.state.read(), await oracle.state.read()];
        for (const [name, values] of expected) {
          const off = distance(found.get(name), values);
          // Lion knows signs only: a last digit may turn one where its argument is almost 0.
          const near = wanted.kind === 'Lion' ? 1e-3 : 3e-6;
          expect(off, `${name} ${form}, step ${step}`).toBeLessThan(near);
        }
      }
      close(own);
    }
    close(oracle);
  });
});

async function initial(update: Update): Promise<Map<string, Float32Array>> {
  const fresh = await open(createReferenceExecutor(), update);
  const values = await fresh.state.read();
  close(fresh);
  return values;
}

describe.each([NaN, Infinity, 1e30])('a gradient of %d', (bad) => {
  it.each([false, true])('changes nothing (its weight rests: %s)', async (factors) => {
    const wanted = { kind: 'AdamW', factors } as const;
    for (const { name: form, executor } of forms) {
      const opened = await open(executor, updateOf(wanted));
      const before = await opened.state.read();
      const feeds = feedsOf(wanted, 1);
      // Weight 2 rests where there are factors; its squares count nothing, yet it must be a number.
      const overflows = bad === 1e30;
      feeds.get(gradientName(overflows ? 3 : 2))?.fill(bad);
      const results = await opened.program.step(feeds).read();
      expect(results.get('grad_norm')?.[0], form).toBe(Infinity);
      expect(results.get('step_done')?.[0], form).toBe(1);
      for (const [name, values] of await opened.state.read()) {
        expect(distance(values, before.get(name)), `${name} ${form}`).toBe(0);
      }
      close(opened);
    }
  });
});
