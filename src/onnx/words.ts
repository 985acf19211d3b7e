/** Sentences that several parts of the reader say. */
import { AppError } from '../core/errors';

/** `graph input "x"` at the start of a sentence. */
export function sentence(what: string): string {
  return what.charAt(0).toUpperCase() + what.slice(1);
}

export function unsupported(what: string, why: string): AppError {
  return new AppError(
    'onnx/unsupported',
    `${sentence(what)} ${why}, which this studio does not read.`,
    {
      where: what,
    },
  );
}
