/** Memory that was not given, in one voice: engines say it in many ways. */
import { AppError } from './errors';

/** What engines and the language throw when an allocation fails. */
const WORDS = /out of memory|allocation failed|bad_alloc|invalid (typed )?array (buffer )?length/i;

export function isMemoryError(error: unknown): boolean {
  if (error instanceof AppError) {
    if (error.code === 'engine/memory') return true;
    return error.code === 'internal/unexpected' && WORDS.test(error.message);
  }
  const words = error instanceof Error ? error.message : String(error);
  return WORDS.test(words);
}

/** The same error, or, where it is about memory, one that says so. */
export function asMemoryError(error: unknown): unknown {
  if (!isMemoryError(error)) return error;
  if (error instanceof AppError && error.code === 'engine/memory') return error;
  const said = error instanceof Error ? error.message : String(error);
  return new AppError(
    'engine/memory',
    `The memory that this step needs was not given (${said}).`,
    { said },
    error,
  );
}
