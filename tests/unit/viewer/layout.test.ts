import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layOut } from '../../../src/viewer/layout';

const size = { width: 80, height: 40 };

function boxesOverlap(
  nodes: { width: number; height: number }[],
  layout: ReturnType<typeof layOut>,
): number {
  let count = 0;
  layout.positions.forEach((a, i) => {
    layout.positions.slice(0, i).forEach((b, j) => {
      const [m, n] = [nodes[i] ?? size, nodes[j] ?? size];
      const apartX = Math.abs(a.x - b.x) >= (m.width + n.width) / 2;
      const apartY = Math.abs(a.y - b.y) >= (m.height + n.height) / 2;
      if (!apartX && !apartY) count++;
    });
  });
  return count;
}

const acyclic = fc.integer({ min: 1, max: 40 }).chain((count) =>
  fc.record({
    nodes: fc.array(
      fc.record({
        width: fc.integer({ min: 10, max: 200 }),
        height: fc.integer({ min: 10, max: 60 }),
      }),
      { minLength: count, maxLength: count },
    ),
    edges: fc
      .array(fc.tuple(fc.nat(count - 1), fc.nat(count - 1)), { maxLength: 80 })
      .map((pairs) =>
        pairs
          .filter(([a, b]) => a !== b)
          .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
      ),
  }),
);

describe('the layout of a graph', () => {
  it('never lays two boxes over each other, and every edge leads down, inside the picture', () => {
    fc.assert(
      fc.property(acyclic, ({ nodes, edges }) => {
        const layout = layOut(nodes, edges);
        expect(boxesOverlap(nodes, layout)).toBe(0);
        edges.forEach(({ from, to }, index) => {
          const bends = layout.bends[index] ?? [];
          const ys = bends.filter((_, at) => at % 2 === 1);
          expect(ys[0]).toBeCloseTo(
            (layout.positions[from]?.y ?? NaN) + (nodes[from]?.height ?? 0) / 2,
          );
          expect(ys.at(-1)).toBeCloseTo(
            (layout.positions[to]?.y ?? NaN) - (nodes[to]?.height ?? 0) / 2,
          );
          expect([...ys].sort((a, b) => a - b)).toEqual(ys);
        });
        layout.positions.forEach(({ x, y }, index) => {
          const { width, height } = nodes[index] ?? size;
          expect(x - width / 2).toBeGreaterThanOrEqual(-1e-6);
          expect(x + width / 2).toBeLessThanOrEqual(layout.width + 1e-6);
          expect(y - height / 2).toBeGreaterThanOrEqual(-1e-6);
          expect(y + height / 2).toBeLessThanOrEqual(layout.height + 1e-6);
        });
      }),
    );
  });

  it('draws a chain as one straight line, however long', () => {
    const nodes = Array.from({ length: 3000 }, () => size);
    const edges = nodes.slice(1).map((_, index) => ({ from: index, to: index + 1 }));
    const { positions, width } = layOut(nodes, edges);
    expect(width).toBe(80);
    expect(new Set(positions.map(({ x }) => x)).size).toBe(1);
  });

  it('keeps a skip connection beside the boxes it passes', () => {
    const nodes = Array.from({ length: 5 }, () => size);
    const edges = [0, 1, 2, 3].map((from) => ({ from, to: from + 1 })).concat({ from: 0, to: 4 });
    const { positions, bends } = layOut(nodes, edges);
    const skip = bends[4] ?? [];
    for (let at = 2; at < skip.length - 2; at += 2) {
      const passed = positions.find(({ y }) => y === skip[at + 1]);
      expect(Math.abs((skip[at] ?? 0) - (passed?.x ?? 0))).toBeGreaterThan(40);
    }
  });

  it('gives every node of a cycle a place', () => {
    const { positions } = layOut(
      [size, size, size],
      [
        { from: 0, to: 1 },
        { from: 1, to: 2 },
        { from: 2, to: 1 },
      ],
    );
    expect(new Set(positions.map(({ y }) => y)).size).toBe(3);
  });
});
