/** The whole picture of a graph as a file: SVG, or PNG as large as a canvas may be. */
import type { GraphPicture } from '../../../protocol/graph-view';
import type { Heat } from '../../../state/graph-viewer.svelte';
import { draw, FONT, GLYPH, groundOf, markOf } from './draw';
import type { Palette } from './draw';

const MARGIN = 24;
/** Browsers refuse larger canvases; longer graphs come out smaller. */
const MOST_PIXELS_A_SIDE = 8192;
const WANTED_SCALE = 2;

export async function pngOf(
  picture: GraphPicture,
  palette: Palette,
  heat: Heat | null = null,
): Promise<Blob> {
  const width = picture.width + 2 * MARGIN;
  const height = picture.height + 2 * MARGIN;
  const scale = Math.min(WANTED_SCALE, MOST_PIXELS_A_SIDE / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.ceil(width * scale), Math.ceil(height * scale));
  const context = canvas.getContext('2d');
  if (!context) throw new Error('This browser gives no canvas to draw on.');
  const window = { left: MARGIN * scale, top: MARGIN * scale, scale };
  const scene = { picture, window, palette, selected: null, found: new Set<number>(), heat };
  draw(context, scene, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: 'image/png' });
}

export function svgOf(picture: GraphPicture, palette: Palette, heat: Heat | null = null): string {
  const width = picture.width + 2 * MARGIN;
  const height = picture.height + 2 * MARGIN;
  const edges = picture.edges.map(({ points, change }) => {
    const dash = change === 'removed' ? ' stroke-dasharray="6 5"' : '';
    return `<path d="${pathOf(points)}" stroke="${palette.change[change]}"${dash}/>`;
  });
  const nodes = picture.nodes.map((node, index) => {
    const { x, y, width: w, height: h, title, detail, category, change, name } = node;
    const radius = category === 'port' ? h / 2 : 6;
    const glyph = GLYPH[change] === '' ? '' : `${GLYPH[change]} `;
    const dash = change === 'removed' ? ' stroke-dasharray="6 4"' : '';
    const lines = [
      `<rect x="${round(x - w / 2)}" y="${round(y - h / 2)}" width="${round(w)}" height="${h}" rx="${radius}" fill="${groundOf(palette, heat, index)}" stroke="${palette.change[change]}"${dash}/>`,
      `<text x="${round(x)}" y="${round(y + (detail === '' ? 4 : -4))}" font-size="13" font-weight="600" fill="${palette.ink}">${escape(glyph + title)}</text>`,
    ];
    if (category !== 'port') {
      lines.push(
        `<rect x="${round(x - w / 2 + 1)}" y="${round(y - h / 2 + 6)}" width="4" height="${h - 12}" fill="${palette.category[category]}"/>`,
      );
    }
    if (detail !== '') {
      lines.push(
        `<text x="${round(x)}" y="${round(y + 14)}" font-size="11" fill="${heat ? palette.ink : palette.quiet}">${escape(detail)}</text>`,
      );
    }
    const mark = markOf(heat, index);
    if (mark !== '') {
      lines.push(
        `<text x="${round(x + w / 2)}" y="${round(y - h / 2 - 2)}" font-size="11" font-weight="600" text-anchor="end" fill="${palette.ink}">${escape(mark)}</text>`,
      );
    }
    return `<g><title>${escape(name)}</title>${lines.join('')}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}" viewBox="${-MARGIN} ${-MARGIN} ${Math.ceil(width)} ${Math.ceil(height)}" font-family="${escape(FONT)}" text-anchor="middle">`,
    `<rect x="${-MARGIN}" y="${-MARGIN}" width="100%" height="100%" fill="${palette.ground}"/>`,
    `<g fill="none" stroke-width="1.2">${edges.join('')}</g>`,
    ...nodes,
    '</svg>',
  ].join('\n');
}

function pathOf(points: readonly number[]): string {
  let [x = 0, y = 0] = points;
  let path = `M${round(x)} ${round(y)}`;
  for (let at = 2; at + 1 < points.length; at += 2) {
    const [nextX = 0, nextY = 0] = [points[at], points[at + 1]];
    const middle = round((y + nextY) / 2);
    path += `C${round(x)} ${middle} ${round(nextX)} ${middle} ${round(nextX)} ${round(nextY)}`;
    [x, y] = [nextX, nextY];
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  // Control characters have no place in XML, and names come from files.
  const printable = Array.from(text, (letter) =>
    letter < ' ' || letter === '\u007f' ? ' ' : letter,
  );
  return printable
    .join('')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
