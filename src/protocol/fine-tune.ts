/** How a trained body is taken further: where it is cut, what head it gets, and what of it learns. */
import type { ImagePreparation } from './pictures';

/** A trained body with a new head for the person's classes. */
export interface PretrainedBlueprint {
  readonly kind: 'pretrained';
  readonly source: PretrainedSource;
  /** Value of the body's graph that the new head reads; null: the one before the old head, found by itself. */
  readonly cut: string | null;
  readonly head: {
    /** Width of a hidden dense layer; 0 for a linear head. */
    readonly hidden: number;
    readonly dropout: number;
  };
  readonly strategy: FineTuneStrategy;
  /** Whether batch norms of the part that learns go on adapting their statistics. */
  readonly batchNorm: 'frozen' | 'train';
  /** What the body wants done to pictures; null where it takes none. */
  readonly picture: ImagePreparation | null;
}

export type PretrainedSource =
  /** Comes with the studio; loaded when asked for and checked against the hash in its manifest. */
  | { readonly kind: 'embedded'; readonly id: 'efficientnet-lite0' }
  /** A file of the person's own, in the store under its hash (PretrainedModel). */
  | { readonly kind: 'own'; readonly sha256: string };

export type FineTuneStrategy =
  /** Only the new head learns; the body's answers are computed once and kept. */
  | { readonly kind: 'head' }
  /** The head and the last blocks of the body. */
  | { readonly kind: 'last-blocks'; readonly blocks: number }
  /** Everything; each block further from the head learns `depthDecay` times as fast as the one after it. */
  | { readonly kind: 'full'; readonly depthDecay: number }
  /** The head first; every so many epochs one more block from the end. */
  | { readonly kind: 'gradual'; readonly epochsPerBlock: number; readonly depthDecay: number }
  /** Low-rank adapters on MatMul, Gemm and 1 x 1 Conv; the body's own weights stay. Hu et al. 2021. */
  | {
      readonly kind: 'lora';
      readonly rank: number;
      readonly alpha: number;
      readonly dropout: number;
      /** Which weights get an adapter: a pattern over their names, `*` for any text; several by comma. */
      readonly targets: string;
    };

/** The body that a finished model was taught from. */
export interface BaseOf {
  readonly source: PretrainedSource;
  readonly name: string;
  /** Of the body's file. */
  readonly sha256: string;
}
