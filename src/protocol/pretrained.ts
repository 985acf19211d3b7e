/** Trained models that a person starts from: what was understood of one, and how it is kept. */
import type {
  ChunkRef,
  FittedRecipe,
  Id,
  ModelSignature,
  OwnBlueprint,
  Timestamp,
} from './entities';
import type { BaseOf, PretrainedSource } from './fine-tune';

/** A file to start from, in the store under the hash of its bytes. */
export interface PretrainedModel {
  /** SHA-256 of the file. */
  readonly id: Id;
  readonly format: 1;
  readonly name: string;
  readonly createdAt: Timestamp;
  readonly bytes: number;
  /** The file in pieces, in order: browsers refuse to keep large values. */
  readonly chunks: readonly ChunkRef[];
  readonly summary: PretrainedSummary;
}

/** What is known of a trained model before anything is done with it: plain figures, for screens and limits. */
export interface PretrainedSummary {
  readonly inputs: ModelSignature['inputs'];
  readonly outputs: ModelSignature['outputs'];
  /** Numbers that were learned. */
  readonly parameters: number;
  readonly operators: readonly { readonly op: string; readonly count: number }[];
  /** Sizes of pictures that it takes, smallest first; null where its input is no picture. */
  readonly picture: {
    readonly channels: number;
    readonly sizes: readonly number[];
    /** (level - mean) / std of levels from 0 to 1, where it is known how it was taught. */
    readonly pixels: { readonly mean: readonly number[]; readonly std: readonly number[] } | null;
  } | null;
  /** The old head that was found. */
  readonly head: {
    readonly node: string;
    readonly outputs: number;
    readonly features: number;
  } | null;
  /** Where it may be cut, the best first. */
  readonly cuts: readonly PretrainedCut[];
  /** The body in order from its input, as pieces that are frozen or learn as a whole. */
  readonly blocks: readonly PretrainedBlock[];
  /** Nodes without a gradient: without them it could learn. */
  readonly trainingBlockers: readonly Blocker[];
  /** Why it cannot even run here. */
  readonly runBlockers: readonly Blocker[];
}

export interface PretrainedCut {
  readonly value: string;
  /** Numbers for each row at this place. */
  readonly features: number;
  /** Blocks before it: the ones that stay. */
  readonly blocks: number;
}

export interface PretrainedBlock {
  readonly name: string;
  /** The operators in it, the commonest first. */
  readonly operators: readonly string[];
  readonly weights: readonly PretrainedWeight[];
}

export interface PretrainedWeight {
  readonly name: string;
  /** The node that reads it. */
  readonly node: string;
  readonly numbers: number;
  /** Scale and shift of a batch norm. */
  readonly norm: boolean;
  /** Rows and columns as LoRA sees them; null where it cannot take an adapter. */
  readonly matrix: readonly [number, number] | null;
}

export interface Blocker {
  readonly node: string;
  readonly op: string;
  readonly reason: string;
}

/** `static/backbones/<id>.json`: a body that comes with the studio. */
export interface BackboneManifest {
  readonly format: 1;
  readonly id: string;
  readonly name: string;
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly parameters: number;
  readonly trainedOn: string;
  readonly licence: string;
  readonly origin: string;
  readonly input: {
    readonly name: string;
    readonly channels: number;
    readonly height: number;
    readonly width: number;
    readonly sizes: readonly number[];
    /** In levels of 0 to 255, by channel. */
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
  readonly cut: string;
  readonly embedding: number;
}

/** The store worker's part. */
export interface PretrainedStoreApi {
  /** A file to start from; equal bytes are one record. */
  putPretrained(
    draft: Pick<PretrainedModel, 'name' | 'summary'>,
    file: Blob,
  ): Promise<PretrainedModel>;
  getPretrained(id: Id): Promise<PretrainedModel>;
  /** Its file; `store/corrupt` where the pieces do not make it. */
  getPretrainedFile(id: Id): Promise<ArrayBuffer>;
  listPretrained(): Promise<readonly PretrainedModel[]>;
  erasePretrained(id: Id): Promise<void>;
  /** What a frozen body answered to a dataset's rows, kept for the next run; may be gone at any time. Those of data that only a locked project has are never kept. */
  putFeatures(key: string, features: ArrayBuffer, datasetId?: Id): Promise<void>;
  getFeatures(key: string): Promise<ArrayBuffer | null>;
}

/** The train worker's part. */
export interface PretrainedTrainApi {
  /** What is known of a body that comes with the studio, before its weights are loaded. */
  backbone(id: string): Promise<BackboneManifest>;
  /** Loads a body and says what it is, where it may be cut, and what of it can learn. */
  describePretrained(source: PretrainedSource): Promise<PretrainedSummary>;
  /** A LoRA run's small file, put back into the body that it was learned on: the finished model again. */
  applyAdapter(adapter: ArrayBuffer): Promise<AppliedAdapter>;
}

/** One of the files that a trained model came in; `path` is relative to the folder that was picked. */
export interface PretrainedFile {
  readonly path: string;
  readonly file: Blob;
}

export interface ReadPretrained {
  readonly name: string;
  readonly summary: PretrainedSummary;
  /** The one that was picked, where it is all of the model. */
  readonly file: Blob;
}

/** A blueprint of the studio's own with the data's features: what weights without a graph are read into. */
export interface Architecture {
  readonly blueprint: OwnBlueprint;
  /** Shape of one row of features. */
  readonly featureDims: readonly number[];
  /** Of the data; the file's own head may have others. */
  readonly outputs: number;
}

export interface AppliedAdapter {
  readonly name: string;
  readonly model: ArrayBuffer;
  readonly graphHash: string;
  readonly signature: ModelSignature;
  readonly recipe: FittedRecipe;
  readonly weights: number;
  readonly base: BaseOf;
}
