/**
 * One small damage to a file, drawn from a stream: what disks, networks and enemies do to bytes. Every mutation has its
 * own stream, so that any one of them can be made again alone.
 */
import { PhiloxStream } from '../../../src/core/philox';
import { joined, jsonDamaged, protobufDamaged, safetensorsDamaged } from './structures';

export type Kind = 'bytes' | 'protobuf' | 'zip' | 'json' | 'safetensors';

/** Mutation `number` of the seeds; now and then of two of them at once. */
export function mutation(
  seeds: readonly Uint8Array[],
  kind: Kind,
  seed: number,
  purpose: string,
  number: number,
): Uint8Array<ArrayBuffer> {
  const stream = new PhiloxStream(seed, `fuzz ${purpose}`, number);
  const pick = (): Uint8Array => seeds[stream.below(seeds.length)] ?? new Uint8Array();
  let bytes = new Uint8Array(pick());
  const times = 1 + stream.below(stream.below(4) === 0 ? 8 : 2);
  for (let time = 0; time < times; time++) {
    const structured = kind !== 'bytes' && stream.below(5) > 0;
    bytes = structured ? STRUCTURED[kind](bytes, stream) : damaged(bytes, pick(), stream);
  }
  return bytes;
}

type Damage = (bytes: Uint8Array, stream: PhiloxStream) => Uint8Array<ArrayBuffer>;

function damaged(
  bytes: Uint8Array,
  other: Uint8Array,
  stream: PhiloxStream,
): Uint8Array<ArrayBuffer> {
  const length = bytes.length;
  const at = stream.below(length + 1);
  const some = Math.min(length - at, 1 + stream.below(stream.below(3) === 0 ? 64 : 8));
  const out = new Uint8Array(bytes);
  switch (stream.below(10)) {
    case 0:
      out[at] = (out[at] ?? 0) ^ (1 << stream.below(8));
      return out;
    case 1:
      return joined(bytes.subarray(0, at), noise(stream, some), bytes.subarray(at));
    case 2:
      return joined(bytes.subarray(0, at), bytes.subarray(at + some));
    case 3: {
      const slice = bytes.subarray(at, at + some);
      const copies = Array.from({ length: 1 + stream.below(5) }, () => slice);
      return joined(bytes.subarray(0, at), ...copies, bytes.subarray(at));
    }
    case 4: {
      const to = stream.below(length + 1);
      [out[at], out[to]] = [out[to] ?? 0, out[at] ?? 0];
      return out.slice(0, length);
    }
    case 5:
      return out.slice(0, at);
    case 6:
      return joined(bytes.subarray(0, at), other.subarray(stream.below(other.length + 1)));
    case 7:
      out.fill([0x00, 0xff, 0x7f, 0x80][stream.below(4)] ?? 0, at, at + some);
      return out;
    case 8:
      out[at] = stream.below(256);
      return out.slice(0, length);
    default:
      return numberChanged(out, at, stream);
  }
}

/** Writes an extreme number where there may be one: two, four or eight bytes, either way round. */
function numberChanged(
  out: Uint8Array<ArrayBuffer>,
  at: number,
  stream: PhiloxStream,
): Uint8Array<ArrayBuffer> {
  const width = [2, 4, 8][stream.below(3)] ?? 4;
  if (at + width > out.length) return out;
  const view = new DataView(out.buffer, at, width);
  const little = stream.below(2) === 0;
  const value = [0n, 1n, 0x7fffn, 0xffffn, 0x7fff_ffffn, 0xffff_ffffn, 2n ** 53n, 2n ** 64n - 1n][
    stream.below(8)
  ];
  if (width === 2) view.setUint16(0, Number(BigInt.asUintN(16, value ?? 0n)), little);
  else if (width === 4) view.setUint32(0, Number(BigInt.asUintN(32, value ?? 0n)), little);
  else view.setBigUint64(0, value ?? 0n, little);
  return out;
}

/** Offset and width of the numbers in a zip's records, by the record's signature. */
const ZIP_FIELDS: Readonly<Record<number, readonly (readonly [at: number, width: 2 | 4])[]>> = {
  0x04034b50: [
    ...([6, 8, 26, 28] as const).map((at) => [at, 2] as const),
    ...([14, 18, 22] as const).map((at) => [at, 4] as const),
  ],
  0x02014b50: [
    ...([8, 10, 28, 30, 32, 34] as const).map((at) => [at, 2] as const),
    ...([16, 20, 24, 42] as const).map((at) => [at, 4] as const),
  ],
  0x06054b50: [
    ...([4, 6, 8, 10, 20] as const).map((at) => [at, 2] as const),
    ...([12, 16] as const).map((at) => [at, 4] as const),
  ],
};

const zip: Damage = (bytes, stream) => {
  const out = new Uint8Array(bytes);
  const view = new DataView(out.buffer);
  const places: [at: number, width: 2 | 4][] = [];
  for (let at = 0; at + 22 <= out.length; at++) {
    for (const [field, width] of ZIP_FIELDS[view.getUint32(at, true)] ?? []) {
      if (at + field + width <= out.length) places.push([at + field, width]);
    }
  }
  const [at, width] = places[stream.below(Math.max(1, places.length))] ?? [-1, 2];
  if (at < 0) return out;
  const now = width === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
  const wanted = [now + 1, Math.max(now - 1, 0), now * 2, 0, 0xffff, 0x7fff_ffff, 0xffff_ffff];
  const value = wanted[stream.below(wanted.length)] ?? 0;
  if (width === 2) view.setUint16(at, value & 0xffff, true);
  else view.setUint32(at, value >>> 0, true);
  return out;
};

const json: Damage = (bytes, stream) =>
  new TextEncoder().encode(jsonDamaged(new TextDecoder().decode(bytes), stream));

const STRUCTURED: Readonly<Record<Exclude<Kind, 'bytes'>, Damage>> = {
  protobuf: protobufDamaged,
  safetensors: safetensorsDamaged,
  zip,
  json,
};

function noise(stream: PhiloxStream, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => stream.below(256));
}
