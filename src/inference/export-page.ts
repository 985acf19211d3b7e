/**
 * Puts a model into the page template: one HTML file that answers from `file://`, without network or worker. The
 * data goes into a JSON block, which a browser never runs; the template's content policy allows its own script
 * and style by hash and nothing else, so a hostile label stays text.
 */
import { AppError } from '../core/errors';
import { readModel } from '../onnx/reader';
import { lookupOp } from '../ops/registry';
import type { ModelVersion } from '../protocol/entities';
import { recipeOf } from './inspect';
import { PAGE_PLACEHOLDER } from './page-data';
import type { PageData } from './page-data';

export function fillPage(
  template: string,
  file: Uint8Array,
  version: Pick<ModelVersion, 'name' | 'recipe'>,
): ArrayBuffer {
  const graph = readModel(file);
  const recipe = version.recipe ?? recipeOf(graph);
  if (!recipe) {
    throw new AppError(
      'export/no-recipe',
      'The page needs to know what to ask for, and this model carries no recipe. Export the ONNX file instead.',
    );
  }
  const unknown = graph.nodes.find(({ domain, op }) => !lookupOp(domain, op));
  if (unknown) {
    throw new AppError(
      'export/operator',
      `The page's own interpreter does not know the operator ${unknown.op} (node "${unknown.name}"). Export the ONNX file, or the float model as a page.`,
      { op: unknown.op, node: unknown.name },
    );
  }
  const data: PageData = { format: 1, name: version.name, model: toBase64(file), recipe };
  const [before, after, ...more] = template.split(PAGE_PLACEHOLDER);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new AppError(
      'export/template',
      'The page template of this build is damaged. Build the studio again.',
    );
  }
  // `<` would let a label close the block it stands in.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return new TextEncoder().encode(before + json + after).buffer;
}

function toBase64(bytes: Uint8Array): string {
  const chunks: string[] = [];
  // A multiple of 3, so that the pieces join; small enough to be an argument list.
  const step = 3 * 4096;
  for (let start = 0; start < bytes.length; start += step)
    chunks.push(btoa(String.fromCharCode(...bytes.subarray(start, start + step))));
  return chunks.join('');
}
