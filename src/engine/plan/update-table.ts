/** How an update cuts weights into chunks, and their squares into parts; see update.ts. */

/** Elements of a chunk. */
export const CHUNK = 1024;
/** Numbers of a table's row. */
export const ROW = 8;
/** Most partial sums: as many as a workgroup adds at once; on a processor each thread adds all of them. */
const MOST_PARTS = 256;
const SOFTWARE_PARTS = 128;

function chunksOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + Math.ceil(size / CHUNK), 0);
}

/** Partial sums of squares of so many chunks. */
export const partsOf = (chunks: number, software: boolean): number =>
  Math.max(1, Math.min(chunks, software ? SOFTWARE_PARTS : MOST_PARTS));

/** Numbers of the table for weights of these sizes. */
export const tableSize = (sizes: readonly number[]): number => chunksOf(sizes) * ROW;

/** Numbers between the two kernels. */
export const scratchSize = (sizes: readonly number[]): number => partsOf(chunksOf(sizes), false);
