/** What the schemas of records are made of. */
import * as v from 'valibot';
import type { ChunkRef } from '../protocol/entities';

export type Schema<T> = v.GenericSchema<unknown, T>;

export const text = v.pipe(v.string(), v.maxLength(1_000_000));
export const id = v.pipe(v.string(), v.regex(/^[0-9a-z-]{8,64}$/));
export const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const figure = v.pipe(v.number(), v.finite());
/** What was measured may be anything: a run diverged, a class had no rows. */
export const measured = v.union([v.number(), v.nan()]);
export const format = v.literal(1);

const place = { sha256: hash, storageKey: hash, bytes: count };
const NOT_ITS_HASH = 'storageKey is not the hash';
const part = v.pipe(
  v.strictObject(place),
  v.check((ref) => ref.sha256 === ref.storageKey, NOT_ITS_HASH),
);

/** In a file every chunk, and every part of one, lies under its hash; other places belong to the store that wrote it. */
export const chunk: Schema<ChunkRef> = v.pipe(
  v.strictObject({ ...place, parts: v.optional(v.array(part)) }),
  v.check((ref) => ref.sha256 === ref.storageKey, NOT_ITS_HASH),
  v.check(
    ({ bytes, parts }) => !parts || parts.reduce((sum, ref) => sum + ref.bytes, 0) === bytes,
    'the parts do not make the whole',
  ),
);

export const ports = v.array(
  v.strictObject({ name: text, dtype: text, dims: v.array(v.union([count, text])) }),
);
