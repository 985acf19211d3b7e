/** Layers as blocks on the screen: how tall, how wide, and the shapes on the wires between them. */
import type { LayerDescription } from '../../../blueprints/plan';

export interface Block {
  readonly op: LayerDescription['op'];
  readonly name: string;
  readonly height: number;
  readonly width: number;
  /** What kind of work it does, for its look: it learns, it shrinks, or neither. */
  readonly family: 'learns' | 'shrinks' | 'plain';
}

const SHRINKING = ['MaxPool', 'AveragePool', 'GlobalAveragePool', 'Flatten'];

export function blocksOf(layers: readonly LayerDescription[]): readonly Block[] {
  return layers.map((layer) => ({
    op: layer.op,
    name: layer.name,
    height: heightOf(layer.outputDims),
    width: widthOf(layer.weights),
    family: layer.weights > 0 ? 'learns' : SHRINKING.includes(layer.op) ? 'shrinks' : 'plain',
  }));
}

/** Features from 1 to some thousands between 84 (room for its name) and 224 pixels, by their logarithm. */
export function heightOf(dims: readonly number[]): number {
  const features = dims.reduce((product, dim) => product * dim, 1);
  return Math.round(Math.min(224, 84 + 11 * Math.log2(Math.max(1, features))));
}

export function widthOf(weights: number): number {
  return Math.round(26 + 9 * Math.log10(1 + weights));
}

/** `wires[i]` is the shape that goes into layer i; the last one comes out of the model. */
export function wiresOf(
  layers: readonly LayerDescription[],
  input: readonly number[],
): readonly string[] {
  return [input, ...layers.map((layer) => layer.outputDims)].map((dims) => dims.join('×'));
}
