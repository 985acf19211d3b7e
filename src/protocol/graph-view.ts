/** What the graph viewer is shown: plain figures, laid out in the infer worker, drawn by the page. */
import type { BlueprintConfig, ChunkRef } from './entities';

export type GraphSource =
  | { readonly kind: 'model'; readonly name: string; readonly file: ChunkRef }
  | { readonly kind: 'file'; readonly name: string; readonly bytes: ArrayBuffer }
  | {
      readonly kind: 'blueprint';
      readonly name: string;
      readonly blueprint: Exclude<BlueprintConfig, { readonly kind: 'pretrained' }>;
      readonly featureDims: readonly number[];
      readonly outputs: number;
    };

export type NodeCategory =
  'port' | 'layer' | 'activation' | 'normalisation' | 'pool' | 'shape' | 'control' | 'other';
/** Of the second graph against the first; only where two are compared. */
export type Change = 'same' | 'changed' | 'added' | 'removed';

export interface PictureNode {
  readonly name: string;
  /** Operator; for a port the value's name. */
  readonly title: string;
  /** The weights' shapes, or the type of a port. */
  readonly detail: string;
  readonly category: NodeCategory;
  readonly change: Change;
  /** Centre and size in picture units. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PictureEdge {
  /** Positions in the list of nodes. */
  readonly from: number;
  readonly to: number;
  readonly value: string;
  /** `float32 [batch, 16, 7, 7]` where known. */
  readonly type: string;
  readonly change: Change;
  /** x and y of each bend, from the lower edge of one node to the upper edge of the other. */
  readonly points: readonly number[];
}

export interface GraphPicture {
  /** Names this picture in later questions; the last few are kept. */
  readonly id: string;
  readonly nodes: readonly PictureNode[];
  readonly edges: readonly PictureEdge[];
  readonly width: number;
  readonly height: number;
  readonly facts: GraphFacts;
  /** Counts of nodes by change; null for a single graph. */
  readonly changes: Readonly<Record<Change, number>> | null;
}

export interface GraphFacts {
  readonly name: string;
  readonly opset: number;
  readonly nodes: number;
  readonly weights: number;
  readonly metadata: readonly (readonly [key: string, value: string])[];
}

export interface NodeDetails {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly change: Change;
  readonly attributes: readonly DetailLine[];
  readonly inputs: readonly PortDetails[];
  readonly outputs: readonly PortDetails[];
}

/** `before` only where two graphs are compared and it differs. */
export interface DetailLine {
  readonly name: string;
  readonly value: string;
  readonly before?: string;
}

export interface PortDetails {
  readonly value: string;
  readonly type: string;
  readonly weight: WeightDetails | null;
  /** Relative change of the weight, ‖b − a‖ / ‖a‖, where two graphs are compared. */
  readonly moved: number | null;
}

export interface WeightDetails {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly deviation: number;
  /** Share of exact zeros. */
  readonly zeros: number;
  /** Counts in equal steps from min to max; empty for a single value. */
  readonly histogram: readonly number[];
}
