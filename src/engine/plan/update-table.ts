/** How an update cuts weights into chunks; see update.ts. */

/** Elements of a chunk, and the parts in which its squares are added. */
export const CHUNK = 1024;
export const PARTS = 4;
/** Numbers of a table's row. */
export const ROW = 8;

function chunksOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + Math.ceil(size / CHUNK), 0);
}

/** Numbers of the table for weights of these sizes. */
export const tableSize = (sizes: readonly number[]): number => chunksOf(sizes) * ROW;

/** Numbers between the kernels: partial sums, then what holds for all weights. */
export const scratchSize = (sizes: readonly number[]): number => chunksOf(sizes) * PARTS + 8;
