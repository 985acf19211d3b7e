/**
 * Pictures and groups as records: what comes in by folder, zip or camera, what was odd about it, how pictures are prepared
 * for a model, and how rows are parted. Ids are those of entities.ts.
 */
/** Cut out the middle square, or keep all and fill up with white. */
export type PictureFit = 'crop' | 'letterbox';

export interface PictureIntake {
  /** Files that could not be read, by name; at most 500 are named, `leftOutCount` counts all. */
  readonly leftOut: readonly LeftOutFile[];
  readonly leftOutCount: number;
  /** Pictures whose pixels stand in the set before them already. */
  readonly duplicates: number;
  /** Of those, pictures that stand there under another class. */
  readonly contradictions: number;
}

export interface LeftOutFile {
  readonly name: string;
  /** `area/problem`, as of an error. */
  readonly code: string;
  readonly reason: string;
}

/** Steps on pictures, in this order. A pretrained body names what it was trained with. */
export interface ImagePreparation {
  /** Levels 0 to 1, bilinear with half-pixel centres (ONNX Resize, mode linear). */
  readonly resize?: { readonly height: number; readonly width: number };
  /** One grey channel becomes three equal ones. */
  readonly channelsTo?: 3;
  /** By channel, in levels of 0 to 1: (level - mean) / std. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

export type SplitConfig = SplitShares &
  (
    | { readonly kind: 'stratified' }
    /** Whole groups stay together, so that the test part holds groups never seen before. */
    | { readonly kind: 'grouped'; readonly by: 'group' }
    /** The sealed test part is these groups; the others are spread over training and validation by their shares. */
    | { readonly kind: 'fixed'; readonly by: 'group'; readonly testGroups: readonly string[] }
  );

export interface SplitShares {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly seed: number;
}

export type PictureSource =
  | { readonly kind: 'files'; readonly files: readonly PictureFile[] }
  /** A zip of such folders. */
  | { readonly kind: 'zip'; readonly file: Blob }
  /** Pictures already square, in colour and of the same size: the camera's. */
  | { readonly kind: 'frames'; readonly size: number; readonly frames: readonly PictureFrame[] };

export interface PictureFile {
  /** `folder/class/name.jpg`, with `/`. */
  readonly path: string;
  readonly file: Blob;
}

export interface PictureFrame {
  readonly label: string;
  readonly group?: string;
  /** uint8 [3, size, size]. */
  readonly pixels: Uint8Array;
}

/** What folder names mean, from the outside in, after a folder around everything is taken away. */
export type FolderMeaning = 'class' | 'group/class' | 'class/group';

export interface PictureOptions {
  /** Of the dataset. */
  readonly name: string;
  /** Side of the square in pixels, 32 to 224; `auto` chooses by the pictures. */
  readonly size: number | 'auto';
  readonly fit: PictureFit;
  readonly folders: FolderMeaning | 'auto';
  /** Class of pictures outside class folders; null leaves them out. */
  readonly unlabelled: string | null;
  /** The pictures of this dataset come first and decide size, channels and fit: the answer is its next version. */
  readonly addTo?: string;
  /** An open locked project: nothing of the pictures touches the disk in the open. */
  readonly into?: string;
}

export interface PictureSurvey {
  readonly name: string;
  readonly pictures: number;
  readonly folders: FolderMeaning;
  /** For each meaning that the folders allow: its classes and groups with their numbers of pictures. */
  readonly meanings: Readonly<Partial<Record<FolderMeaning, PictureLayout>>>;
  /** Chosen by the smallest side of a sample of the pictures. */
  readonly size: number;
  readonly smallestSide: number;
  /** Files that are no pictures by their name. */
  readonly others: number;
}

export interface PictureLayout {
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  readonly groups: readonly { readonly name: string; readonly count: number }[];
  readonly unlabelled: number;
}
