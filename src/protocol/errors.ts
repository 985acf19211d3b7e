/**
 * How an error crosses a worker border. Structured cloning would keep an Error's message and drop the rest, so
 * both ends replace Comlink's handler for thrown values by this codec: code, message, data, stack and the chain
 * of causes travel as plain data and are rebuilt as AppError. Knows Comlink only by the shape of its map.
 */
import { AppError } from '../core/errors';

export interface WireError {
  readonly code: `${string}/${string}`;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly stack: string;
  readonly cause: WireError | null;
}

/** Longest chain of causes that travels; a cycle of causes ends here. */
const DEEPEST_CAUSE = 4;

/** Any thrown value in wire form; one that is not an AppError gets the code `internal/unexpected`. */
export function encodeError(thrown: unknown, depth = 0): WireError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const known = error instanceof AppError;
  const deeper = error.cause !== undefined && error.cause !== null && depth < DEEPEST_CAUSE;
  return {
    code: known ? (error.code as WireError['code']) : 'internal/unexpected',
    message: error.message,
    data: known ? cloneable(error.data) : { name: error.name },
    stack: error.stack ?? '',
    cause: deeper ? encodeError(error.cause, depth + 1) : null,
  };
}

/** The AppError that `wire` describes, with the stack of the place where it was thrown. */
export function decodeError(wire: WireError): AppError {
  const cause = wire.cause === null ? undefined : decodeError(wire.cause);
  const error = new AppError(wire.code, wire.message, wire.data, cause);
  if (wire.stack !== '') error.stack = wire.stack;
  return error;
}

/** Drops what structured cloning refuses (functions, proxies), so that reporting an error cannot fail itself. */
function cloneable(data: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(data)) {
    try {
      kept[key] = structuredClone(value);
    } catch {
      kept[key] = String(value);
    }
  }
  return kept;
}

interface ThrownHandler {
  canHandle(value: unknown): boolean;
}

/** Comlink's `transferHandlers`, as far as this file needs it. */
export interface HandlerMap {
  get(name: string): ThrownHandler | undefined;
  // Comlink's own TransferHandler type varies with the handled value; only the map's shape matters here.
  set(name: string, handler: never): unknown;
}

/** Installs the codec: call `installErrorCodec(Comlink.transferHandlers)` once in the page and in each worker. */
export function installErrorCodec(handlers: HandlerMap): void {
  const original = handlers.get('throw');
  if (original === undefined) return;
  const handler = {
    // Only Comlink knows its own mark for thrown values.
    canHandle: (value: unknown): boolean => original.canHandle(value),
    serialize: ({ value }: { value: unknown }): [WireError, Transferable[]] => [
      encodeError(value),
      [],
    ],
    deserialize: (wire: WireError): never => {
      throw decodeError(wire);
    },
  };
  handlers.set('throw', handler as never);
}
