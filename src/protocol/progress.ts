/** How a long call says where it is. */

/** Progress of a long call: the step in words, and how far where that is known. */
export interface Progress {
  readonly label: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: 'bytes' | 'rows' | 'steps' | 'items';
}
export type OnProgress = (progress: Progress) => void;
