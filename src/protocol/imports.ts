/** Imports under way: the journal that a crash leaves behind, and what may be done with it. */
import type { DataSource, Id, Timestamp } from './entities';

export interface ImportStart {
  readonly source: DataSource;
  /** Of the file, where it is known. */
  readonly bytes: number | null;
  /** The locked project that it goes into. */
  readonly into?: Id;
}

/** No tab is at work on it, and its dataset never came to be. */
export interface InterruptedImport extends ImportStart {
  readonly id: Id;
  readonly startedAt: Timestamp;
  /** Bytes that lie here already; importing the same file again does not write them again. */
  readonly kept: number;
}

/** The store worker's part. `putChunk`, `discardChunks` and `putDataset` take the id of the import that they serve. */
export interface ImportStoreApi {
  /** Before the first chunk. What is written for the import is spared until it ends, or for a week after a crash. */
  beginImport(start: ImportStart): Promise<Id>;
  /**
   * It will not come to be (cancelled, refused, given up after a crash): frees what only it wrote. With an interrupted one
   * go the crashed attempts at the same file before it.
   */
  discardImport(id: Id): Promise<{ readonly bytes: number }>;
  /** One for each file, newest first. */
  listInterruptedImports(): Promise<readonly InterruptedImport[]>;
}
