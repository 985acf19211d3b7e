/** Characters of a message. What a file says of itself is in many, and a file may say as much as it likes. */
const LONGEST = 2000;

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
    super(bounded(message), cause === undefined ? undefined : { cause });
    this.code = code;
    this.data = data;
  }
}

/** Cut in the middle: what happened stands at the start, and what to do about it at the end. */
function bounded(message: string): string {
  if (message.length <= LONGEST) return message;
  const end = LONGEST / 4;
  return `${message.slice(0, LONGEST - end - 3)} … ${message.slice(-end)}`;
}

/** Throws `internal/invariant` when a condition that our own code guarantees does not hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AppError('internal/invariant', message);
}
