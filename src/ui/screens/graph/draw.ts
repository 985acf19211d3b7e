/**
 * Draws a picture of a graph on a canvas. All edges of one kind are one path and far nodes are boxes without text, so
 * that a frame with 2,000 nodes stays a few milliseconds.
 */
import type { Change, GraphPicture, NodeCategory, PictureEdge } from '../../../protocol/graph-view';
import { heatOf } from '../../../state/graph-viewer.svelte';
import type { Heat, Window } from '../../../state/graph-viewer.svelte';
import { resolveColour } from '../../charts/colours';
import { bytes, percent } from '../../messages/format';

export interface Palette {
  readonly ground: string;
  readonly panel: string;
  readonly ink: string;
  readonly quiet: string;
  readonly line: string;
  readonly chosen: string;
  /** What costs most. */
  readonly heat: string;
  readonly category: Readonly<Record<NodeCategory, string>>;
  readonly change: Readonly<Record<Change, string>>;
}

export interface Scene {
  readonly picture: GraphPicture;
  readonly window: Window;
  readonly palette: Palette;
  readonly selected: number | null;
  /** Nodes that the search found. */
  readonly found: ReadonlySet<number>;
  /** What nodes cost; null where they are coloured by operator alone. */
  readonly heat: Heat | null;
}

/** Share of the full colour that even the dearest node gets, so that its text stays readable. */
const MOST_HEAT = 0.5;

/** Ground of a node: the dearer, the warmer. Square roots, so that the many small ones differ, too. */
export function groundOf({ panel, heat: warm }: Palette, heat: Heat | null, index: number): string {
  const cost = heat?.costs[index];
  if (!heat || !cost || heat.most === 0) return panel;
  return mixed(panel, warm, MOST_HEAT * Math.sqrt(heatOf(cost, heat.measure) / heat.most));
}

/** Between two colours as `getComputedStyle` writes them: `rgb(20, 28, 23)`. */
export function mixed(from: string, to: string, share: number): string {
  const [a, b] = [from, to].map((colour) => colour.match(/[\d.]+/g)?.map(Number) ?? []);
  const parts = [0, 1, 2].map((at) =>
    Math.round((a?.[at] ?? 0) * (1 - share) + (b?.[at] ?? 0) * share),
  );
  return `rgb(${parts.join(', ')})`;
}

/** Share of the step's time, or the bytes moved, as the mark on a node; empty where no kernel works for it. */
export function markOf(heat: Heat | null, index: number): string {
  const cost = heat?.costs[index];
  if (!heat || !cost) return '';
  if (heat.measure === 'time') return percent(cost.share, cost.share < 0.1 ? 1 : 0);
  return bytes(cost.bytes);
}

export const FONT = 'Inter, system-ui, sans-serif';
/** A glyph beside the colour, so that a change is not told by colour alone. */
export const GLYPH: Readonly<Record<Change, string>> = {
  same: '',
  changed: '~',
  added: '+',
  removed: '−',
};
/** Below this scale text is smaller than anyone reads. */
const TEXT_FROM = 0.35;
const RADIUS = 6;
const CHANGES: readonly Change[] = ['same', 'changed', 'added', 'removed'];

export function paletteOf(element: HTMLElement): Palette {
  const colour = (token: string): string => resolveColour(element, `var(--${token})`);
  return {
    ground: colour('sunk'),
    panel: colour('panel'),
    ink: colour('ink'),
    quiet: colour('ink-3'),
    line: colour('edge'),
    chosen: colour('leaf'),
    heat: colour('s2'),
    category: {
      port: colour('ink-3'),
      layer: colour('s3'),
      activation: colour('s2'),
      normalisation: colour('s1'),
      pool: colour('s4'),
      shape: colour('s5'),
      control: colour('s6'),
      other: colour('edge'),
    },
    change: {
      same: colour('edge'),
      changed: colour('warn'),
      added: colour('leaf'),
      removed: colour('bad'),
    },
  };
}

export function draw(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  scene: Scene,
  width: number,
  height: number,
): void {
  const { picture, palette } = scene;
  const { left, top, scale } = scene.window;
  context.fillStyle = palette.ground;
  context.fillRect(0, 0, width, height);
  context.save();
  context.translate(left, top);
  context.scale(scale, scale);
  const seen = {
    left: -left / scale,
    top: -top / scale,
    right: (width - left) / scale,
    bottom: (height - top) / scale,
  };
  drawEdges(context, scene, seen);
  picture.nodes.forEach((node, index) => {
    const { x, y, width: w, height: h } = node;
    if (x + w / 2 < seen.left || x - w / 2 > seen.right) return;
    if (y + h / 2 < seen.top || y - h / 2 > seen.bottom) return;
    drawNode(context, scene, index);
  });
  context.restore();
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function drawEdges(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  { picture, palette, selected, window }: Scene,
  seen: Box,
): void {
  context.lineCap = 'round';
  const touches = ({ from, to }: PictureEdge): boolean => from === selected || to === selected;
  for (const change of CHANGES) {
    context.beginPath();
    for (const edge of picture.edges) {
      if (edge.change === change && !touches(edge) && inside(edge, seen))
        trace(context, edge.points);
    }
    context.strokeStyle = palette.change[change];
    context.lineWidth = Math.max(change === 'same' ? 1 : 2, 0.6 / window.scale);
    context.setLineDash(change === 'removed' ? [6, 5] : []);
    context.stroke();
  }
  context.setLineDash([]);
  context.beginPath();
  for (const edge of picture.edges) if (touches(edge)) trace(context, edge.points);
  context.strokeStyle = palette.chosen;
  context.lineWidth = Math.max(2.5, 1.5 / window.scale);
  context.stroke();
}

function inside({ points }: PictureEdge, { top, bottom }: Box): boolean {
  return (points[1] ?? 0) <= bottom && (points.at(-1) ?? 0) >= top;
}

/** Through the bends in curves that begin and end upright. */
function trace(context: CanvasPath, points: readonly number[]): void {
  let [x = 0, y = 0] = points;
  context.moveTo(x, y);
  for (let at = 2; at + 1 < points.length; at += 2) {
    const [nextX = 0, nextY = 0] = [points[at], points[at + 1]];
    const middle = (y + nextY) / 2;
    if (Math.abs(nextX - x) < 0.5) context.lineTo(nextX, nextY);
    else context.bezierCurveTo(x, middle, nextX, middle, nextX, nextY);
    [x, y] = [nextX, nextY];
  }
}

function drawNode(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  { picture, palette, selected, found, heat, window }: Scene,
  index: number,
): void {
  const node = picture.nodes[index];
  if (!node) return;
  const { x, y, width, height, title, detail, category, change } = node;
  const left = x - width / 2;
  const top = y - height / 2;
  const marked = change !== 'same' || index === selected || found.has(index);
  context.beginPath();
  context.roundRect(left, top, width, height, category === 'port' ? height / 2 : RADIUS);
  const far = window.scale < 0.12 && heat === null;
  context.fillStyle = far ? palette.category[category] : groundOf(palette, heat, index);
  context.fill();
  context.strokeStyle =
    index === selected || found.has(index) ? palette.chosen : palette.change[change];
  context.lineWidth = Math.max(marked ? 2.5 : 1, (marked ? 2 : 0.5) / window.scale);
  context.setLineDash(change === 'removed' ? [6, 4] : []);
  context.stroke();
  context.setLineDash([]);
  if (window.scale < 0.12) return;
  if (category !== 'port') {
    context.fillStyle = palette.category[category];
    context.fillRect(left + 1, top + RADIUS, 4, height - 2 * RADIUS);
  }
  if (window.scale < TEXT_FROM) return;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillStyle = palette.ink;
  context.font = `600 13px ${FONT}`;
  const glyph = GLYPH[change];
  context.fillText(glyph === '' ? title : `${glyph} ${title}`, x, detail === '' ? y : y - 8);
  if (detail !== '') {
    // Quiet ink would be too quiet on a warm ground.
    context.fillStyle = heat ? palette.ink : palette.quiet;
    context.font = `400 11px ${FONT}`;
    context.fillText(detail, x, y + 10);
  }
  const mark = markOf(heat, index);
  if (mark !== '') drawMark(context, palette, mark, x + width / 2, top);
}

/** A small plate on the upper corner of a node. */
function drawMark(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  palette: Palette,
  text: string,
  right: number,
  y: number,
): void {
  context.font = `600 11px ${FONT}`;
  const width = context.measureText(text).width + 10;
  context.beginPath();
  context.roundRect(right - width + 8, y - 8, width, 16, 8);
  context.fillStyle = palette.panel;
  context.fill();
  context.strokeStyle = palette.heat;
  context.lineWidth = 1;
  context.stroke();
  context.fillStyle = palette.ink;
  context.fillText(text, right - width / 2 + 8, y);
}

/** The node under a point of the picture; null for none. */
export function nodeAt({ nodes }: GraphPicture, x: number, y: number): number | null {
  const index = nodes.findIndex(
    (node) => Math.abs(node.x - x) <= node.width / 2 && Math.abs(node.y - y) <= node.height / 2,
  );
  return index === -1 ? null : index;
}
