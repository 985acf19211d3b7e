/** Which kernels become one, and that a value written in place is never read at another place. */
import { describe, expect, it } from 'vitest';
import { USUAL_TRAITS } from '../../../../src/engine/plan/estimate';
import { fuse } from '../../../../src/engine/plan/fuse';
import { KernelList } from '../../../../src/engine/plan/kernels';
import { keptValues, planMemory } from '../../../../src/engine/plan/memory';
import type { DeviceTensor } from '../../../../src/ops/lowering/plan';

const vector = (size: number) => ({ dtype: 'float32', dims: [size] }) as const;

class Sketch {
  readonly list = new KernelList(USUAL_TRAITS);

  feed(size: number): DeviceTensor {
    return this.list.resident(vector(size), { kind: 'feed', name: 'x' }, 'x');
  }

  map(value: string, ...inputs: DeviceTensor[]): DeviceTensor {
    const size = Math.max(...inputs.map(({ dims }) => dims[0] ?? 1));
    return this.list.pointwise({ label: value, inputs, output: vector(size), value });
  }

  /** Reads everything for each element: nothing can be computed in its place. */
  product(x: DeviceTensor, size: number): DeviceTensor {
    const [made] = this.list.kernel({
      label: 'product',
      inputs: [x],
      outputs: [vector(size)],
      body: 'y0(index, x0(index));',
    });
    if (!made) throw new Error('A kernel makes its outputs.');
    return made;
  }

  fuse(...wanted: DeviceTensor[]) {
    const ids = new Set(wanted.map(({ value }) => value));
    const fused = fuse(this.list.kernels, this.list.values, ids);
    return {
      labels: fused.groups.map(({ core, epilogue }) =>
        [
          ...(core && core.kind === 'core' ? [core.spec.label] : []),
          ...epilogue.map(({ kernel }) => kernel.spec.label),
        ].join(' | '),
      ),
      kept: keptValues(fused, ids),
      memory: planMemory(fused, ids, new Set(), 2 ** 20),
    };
  }
}

describe('chains', () => {
  it('become one kernel, whatever their length', () => {
    const s = new Sketch();
    const x = s.feed(1000);
    const c = s.map('x0(index) + 3.0', s.map('x0(index) * 2.0', s.map('-x0(index)', x)));
    const { labels, kept } = s.fuse(c);
    expect(labels).toEqual(['x0(index) + 3.0']);
    expect([...kept]).toEqual([c.value]);
  });

  it('go behind the product that begins them, bias and residual included', () => {
    const s = new Sketch();
    const [x, bias, other] = [s.feed(1000), s.feed(10), s.feed(1000)];
    const y = s.product(x, 1000);
    const biased = s.map('x0(index) + x1(index % 10)', y, bias);
    const active = s.map('max(x0(index), 0.0)', biased);
    const sum = s.map('x0(index) + x1(index)', active, other);
    const { labels } = s.fuse(sum);
    expect(labels).toHaveLength(1);
    expect(labels[0]).toMatch(/^product/);
  });

  it('wait for the product that is made last', () => {
    const s = new Sketch();
    const x = s.feed(1000);
    const [a, b] = [s.product(x, 1000), s.product(s.map('x0(index) + 1.0', x), 1000)];
    const { labels } = s.fuse(s.map('x0(index) * x1(index)', a, b));
    expect(labels).toEqual(['product', 'x0(index) + 1.0', 'product | x0(index) * x1(index)']);
  });
});

it('computes equal kernels once, and what nothing needs never', () => {
  const s = new Sketch();
  const x = s.feed(64);
  const [a, b] = [s.product(x, 64), s.product(x, 64)];
  s.product(x, 128);
  const { labels } = s.fuse(s.map('x0(index) + x1(index)', a, b));
  expect(labels).toEqual(['product | x0(index) + x1(index)']);
});

it('does not compute a dear function again for each of many readers', () => {
  const s = new Sketch();
  const x = s.feed(10);
  const e = s.map('exp(x0(index))', x);
  const wide = s.map('x0(index) * x1(index % 10)', s.feed(1000), e);
  expect(s.fuse(wide).labels).toEqual(['exp(x0(index))', 'x0(index) * x1(index % 10)']);
});

it('moves elements where they are read', () => {
  const s = new Sketch();
  const turned = s.map('x0(index % 8 * 8 + index / 8)', s.feed(64));
  const a = s.map('x0(index) + 1.0', turned);
  const b = s.map('x0(index) * 2.0', turned);
  const { labels, kept } = s.fuse(a, b);
  expect(labels).toHaveLength(1);
  expect(kept.has(turned.value)).toBe(false);
});

describe('memory', () => {
  it('is handed on to a result that reads only the same element', () => {
    const s = new Sketch();
    const y = s.product(s.feed(1000), 1000);
    const scratch = s.product(y, 64);
    const z = s.map('x0(index) + x1(0)', y, scratch);
    const { memory } = s.fuse(z);
    expect(memory.places.get(z.value)).toEqual(memory.places.get(y.value));
  });

  it('is not where another element is read, too', () => {
    const s = new Sketch();
    const y = s.product(s.feed(1000), 1000);
    const scratch = s.product(y, 64);
    const z = s.map('x0(index) + x0(999 - index) + x1(0)', y, scratch);
    const { memory } = s.fuse(z);
    expect(memory.places.get(z.value)).not.toEqual(memory.places.get(y.value));
  });
});
