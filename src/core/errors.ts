/**
 * The one error of the project. `code` is `area/problem` and stable; `message` says what happened,
 * to which thing, and what to do about it, in words a person can read. `data` holds the figures behind the
 * words and must survive structured cloning, because errors cross worker borders (protocol/errors.ts).
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: string;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: `${string}/${string}`,
    message: string,
    data: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.data = data;
  }
}

/** Throws `internal/invariant` when a condition that our own code guarantees does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AppError('internal/invariant', message);
}
