/**
 * Features of training and validation rows. A table goes through the recipe's ONNX graph once and is kept; pictures are
 * prepared batch by batch, after augmentation, by loops that give the graph's figures (recipe/pictures.ts).
 */
import { invariant } from '../../core/errors';
import { runRecipe } from '../recipe/run';
import { rawInputs } from '../recipe/encode';
import { preparePictures } from '../recipe/pictures';
import { augment, augmentDraws } from './augment';
import type { Graph } from '../../onnx/graph';
import type { BatchRequest } from '../../protocol/batches';
import type { AugmentConfig, FittedRecipe } from '../../protocol/entities';
import type { Dataset, ImageData } from '../dataset';
import type { ImageInput } from '../recipe/pictures';
import type { Parts } from '../split';

export interface FeatureSource {
  /** Writes the features of rows `positions` of a part to `out` [positions, ...featureDims]. */
  fill(part: BatchRequest['part'], positions: Uint32Array, epoch: number, out: Float32Array): void;
}

/** Rows run through the graph at once: bounds the interpreter's float64 copies. */
const BLOCK = 2048;

export async function featureSource(
  dataset: Dataset,
  graph: Graph,
  recipe: FittedRecipe,
  parts: Parts,
  options: { readonly augment: AugmentConfig | null; readonly seed: number },
): Promise<FeatureSource> {
  if (dataset.type === 'images') {
    invariant(recipe.input.type === 'images', 'Pictures have a recipe for pictures.');
    return new PictureFeatures(dataset, recipe.input, parts, options);
  }
  return new TableFeatures(recipe.featureDims[0] ?? 0, {
    train: await tableFeatures(dataset, graph, recipe, parts.train),
    validation: await tableFeatures(dataset, graph, recipe, parts.validation),
  });
}

/** Features of `rows` [rows, F], computed in blocks; gives way between blocks so that the worker stays answerable. */
export async function tableFeatures(
  dataset: Dataset,
  graph: Graph,
  recipe: FittedRecipe,
  rows: Uint32Array,
): Promise<Float32Array> {
  const width = recipe.featureDims.reduce((product, dim) => product * dim, 1);
  const all = new Float32Array(rows.length * width);
  for (let start = 0; start < rows.length; start += BLOCK) {
    const inputs = await rawInputs(dataset, recipe, rows.subarray(start, start + BLOCK));
    all.set(runRecipe(graph, inputs), start * width);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return all;
}

class TableFeatures implements FeatureSource {
  readonly #width: number;
  readonly #features: Readonly<Record<BatchRequest['part'], Float32Array>>;

  constructor(width: number, features: Readonly<Record<BatchRequest['part'], Float32Array>>) {
    this.#width = width;
    this.#features = features;
  }

  fill(
    part: BatchRequest['part'],
    positions: Uint32Array,
    _epoch: number,
    out: Float32Array,
  ): void {
    const width = this.#width;
    positions.forEach((position, index) => {
      const start = position * width;
      out.set(this.#features[part].subarray(start, start + width), index * width);
    });
  }
}

class PictureFeatures implements FeatureSource {
  readonly #data: ImageData;
  readonly #input: ImageInput;
  readonly #parts: Parts;
  readonly #augment: AugmentConfig | null;
  readonly #seed: number;

  constructor(
    data: ImageData,
    input: ImageInput,
    parts: Parts,
    options: { readonly augment: AugmentConfig | null; readonly seed: number },
  ) {
    this.#data = data;
    this.#input = input;
    this.#parts = parts;
    this.#augment = options.augment;
    this.#seed = options.seed;
  }

  fill(part: BatchRequest['part'], positions: Uint32Array, epoch: number, out: Float32Array): void {
    const { channels, height, width } = this.#data.manifest;
    const size = channels * height * width;
    const pixels = new Uint8Array(positions.length * size);
    positions.forEach((position, index) => {
      const row = this.#parts[part][position];
      invariant(row !== undefined, `Position ${position} is not in the ${part} part.`);
      const source = this.#data.pixels.subarray(row * size, (row + 1) * size);
      const target = pixels.subarray(index * size, (index + 1) * size);
      if (part === 'train' && this.#augment) {
        const draws = augmentDraws(this.#seed, row, epoch);
        augment(source, target, { channels, height, width }, this.#augment, draws);
      } else {
        target.set(source);
      }
    });
    preparePictures(this.#input, pixels, positions.length, out);
  }
}
