/**
 * Layered drawing of a directed graph, top to bottom, after Sugiyama, Tagawa & Toda 1981: ranks by longest path, long
 * edges through places of their own in each rank, order by medians of neighbours, then each rank's x by least
 * squares under "keep this order and distance" (pool adjacent violators). Model graphs are long and narrow, so all of
 * it is loops over lists: nothing recurses, and 2,000 nodes in one chain are as good as 20.
 */

export interface LayoutNode {
  readonly width: number;
  readonly height: number;
}

export interface LayoutEdge {
  readonly from: number;
  readonly to: number;
}

export interface Layout {
  /** Centre of each node. */
  readonly positions: readonly { readonly x: number; readonly y: number }[];
  /** Bends of each edge: x, y, x, y, … from node to node. */
  readonly bends: readonly (readonly number[])[];
  readonly width: number;
  readonly height: number;
}

const RANK_GAP = 34;
const NODE_GAP = 24;
/** A long edge's place in a rank it only passes. */
const PASSING_WIDTH = 10;
/** An edge over more ranks than this goes straight; otherwise one mask that all layers read fills the picture. */
const LONGEST_GUIDED = 80;
const SWEEPS = 6;

/** A node, or the place of a long edge, within its rank. */
interface Place {
  /** Index of the node; -1 for an edge passing by. */
  readonly node: number;
  readonly rank: number;
  readonly width: number;
  order: number;
  x: number;
  readonly above: Place[];
  readonly below: Place[];
}

export function layOut(nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): Layout {
  const ranks = ranksOf(nodes.length, edges);
  const places = nodes.map(({ width }, node) => place(node, ranks[node] ?? 0, width));
  const chains = edges.map(() => [] as Place[]);
  const all = [...places, ...guide(places, edges, chains)];
  const rows: Place[][] = [];
  for (const item of all) (rows[item.rank] ??= []).push(item);
  for (let rank = 0; rank < rows.length; rank++) rows[rank] ??= [];
  orderRows(rows);
  spread(rows);
  const heights = rows.map((row) =>
    row.reduce((most, { node }) => Math.max(most, nodes[node]?.height ?? 0), 0),
  );
  const middles: number[] = [];
  let top = 0;
  for (const height of heights) {
    middles.push(top + height / 2);
    top += height + RANK_GAP;
  }
  const left = all.reduce((least, { x, width }) => Math.min(least, x - width / 2), Infinity);
  const right = all.reduce((most, { x, width }) => Math.max(most, x + width / 2), -Infinity);
  const shift = all.length === 0 ? 0 : -left;
  return {
    positions: places.map(({ x, rank }) => ({ x: x + shift, y: middles[rank] ?? 0 })),
    bends: edges.map(({ from, to }, index) => {
      const start = places[from];
      const end = places[to];
      if (!start || !end) return [];
      const bends = [start.x + shift, (middles[start.rank] ?? 0) + (nodes[from]?.height ?? 0) / 2];
      for (const { x, rank } of chains[index] ?? []) bends.push(x + shift, middles[rank] ?? 0);
      bends.push(end.x + shift, (middles[end.rank] ?? 0) - (nodes[to]?.height ?? 0) / 2);
      return bends;
    }),
    width: all.length === 0 ? 0 : right - left,
    height: Math.max(0, top - RANK_GAP),
  };
}

function place(node: number, rank: number, width: number): Place {
  return { node, rank, width, order: 0, x: 0, above: [], below: [] };
}

/** Longest path from a source; sources then move down to just above their first reader. */
function ranksOf(count: number, edges: readonly LayoutEdge[]): number[] {
  const readers: number[][] = Array.from({ length: count }, () => []);
  const waiting = new Array<number>(count).fill(0);
  for (const { from, to } of edges) {
    readers[from]?.push(to);
    waiting[to] = (waiting[to] ?? 0) + 1;
  }
  const sources = new Set(waiting.flatMap((inputs, node) => (inputs === 0 ? [node] : [])));
  const ranks = new Array<number>(count).fill(0);
  const open = [...sources];
  const settled = new Set<number>();
  // In a cycle, which only the union of two graphs can have, every node still gets a rank: the first met.
  for (let next = 0; next < open.length || settled.size < count; next++) {
    const node = open[next] ?? waiting.findIndex((_, index) => !settled.has(index));
    if (settled.has(node)) continue;
    settled.add(node);
    for (const reader of readers[node] ?? []) {
      if (settled.has(reader)) continue;
      ranks[reader] = Math.max(ranks[reader] ?? 0, (ranks[node] ?? 0) + 1);
      waiting[reader] = (waiting[reader] ?? 0) - 1;
      if (waiting[reader] === 0) open.push(reader);
    }
  }
  for (const source of sources) {
    const first = Math.min(...(readers[source] ?? []).map((reader) => ranks[reader] ?? 0));
    if (Number.isFinite(first)) ranks[source] = Math.max(0, first - 1);
  }
  return ranks;
}

/** Places for edges that pass ranks; edges from one node share them as far as they go together. */
function guide(places: readonly Place[], edges: readonly LayoutEdge[], chains: Place[][]): Place[] {
  const added: Place[] = [];
  const chainOf = new Map<number, Place[]>();
  edges.forEach(({ from, to }, index) => {
    const start = places[from];
    const end = places[to];
    if (!start || !end) return;
    const span = end.rank - start.rank;
    if (span <= 1 || span > LONGEST_GUIDED) {
      if (span === 1) link(start, end);
      return;
    }
    const chain = chainOf.get(from) ?? [];
    chainOf.set(from, chain);
    while (chain.length < span - 1) {
      const next = place(-1, start.rank + chain.length + 1, PASSING_WIDTH);
      link(chain.at(-1) ?? start, next);
      chain.push(next);
      added.push(next);
    }
    const own = chain.slice(0, span - 1);
    link(own.at(-1) ?? start, end);
    chains[index]?.push(...own);
  });
  return added;
}

function link(upper: Place, lower: Place): void {
  upper.below.push(lower);
  lower.above.push(upper);
}

function orderRows(rows: readonly Place[][]): void {
  for (const row of rows) row.forEach((item, order) => (item.order = order));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    const sequence = down ? rows : [...rows].reverse();
    for (const row of sequence) {
      const keys = new Map(
        row.map((item) => [item, median(down ? item.above : item.below, item.order)]),
      );
      row.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0) || a.order - b.order);
      row.forEach((item, order) => (item.order = order));
    }
  }
}

function median(neighbours: readonly Place[], otherwise: number): number {
  if (neighbours.length === 0) return otherwise;
  const orders = neighbours.map(({ order }) => order).sort((a, b) => a - b);
  const middle = orders.length >> 1;
  const upper = orders[middle] ?? 0;
  return orders.length % 2 === 1 ? upper : ((orders[middle - 1] ?? 0) + upper) / 2;
}

function spread(rows: readonly Place[][]): void {
  for (const row of rows) {
    let x = 0;
    for (const item of row) {
      item.x = x + item.width / 2;
      x += item.width + NODE_GAP;
    }
    for (const item of row) item.x -= (x - NODE_GAP) / 2;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? rows : [...rows].reverse()) {
      const wanted = row.map(({ above, below, x }) => {
        const side = down ? above : below;
        if (side.length === 0) return x;
        return side.reduce((sum, neighbour) => sum + neighbour.x, 0) / side.length;
      });
      settle(row, wanted);
    }
  }
}

interface Block {
  sum: number;
  weight: number;
  count: number;
}

/** Nearest positions to `wanted` that keep order and distance. What passes by pulls hardest: its line stays straight. */
function settle(row: readonly Place[], wanted: readonly number[]): void {
  const offsets: number[] = [];
  row.forEach((item, index) => {
    const before = row[index - 1];
    const gap = before ? (before.width + item.width) / 2 + NODE_GAP : 0;
    offsets.push((offsets[index - 1] ?? 0) + gap);
  });
  const blocks: Block[] = [];
  row.forEach((item, index) => {
    const weight = item.node === -1 ? 8 : 1;
    let block = { sum: ((wanted[index] ?? 0) - (offsets[index] ?? 0)) * weight, weight, count: 1 };
    for (let last = blocks.at(-1); last && last.sum / last.weight > block.sum / block.weight;) {
      block = {
        sum: last.sum + block.sum,
        weight: last.weight + block.weight,
        count: last.count + block.count,
      };
      blocks.pop();
      last = blocks.at(-1);
    }
    blocks.push(block);
  });
  let index = 0;
  for (const { sum, weight, count } of blocks) {
    for (let step = 0; step < count; step++, index++) {
      const item = row[index];
      if (item) item.x = sum / weight + (offsets[index] ?? 0);
    }
  }
}
