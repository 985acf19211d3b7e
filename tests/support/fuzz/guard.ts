/** What parsing must leave alone, and what it takes: prototypes, and bytes of typed arrays made in this realm. */

const WATCHED = { Object, Array, Function, String, Map, Promise, RegExp, Uint8Array };

function fingerprint(): string {
  return Object.entries(WATCHED)
    .map(([name, made]) => `${name}: ${Reflect.ownKeys(made.prototype).map(String).join()}`)
    .join('\n');
}

const before = fingerprint();

/** What was put onto a prototype, in words; null where all is as it was. */
export function pollution(): string | null {
  if (Reflect.get({}, 'polluted') !== undefined) return '({}).polluted is there';
  const now = fingerprint();
  return now === before ? null : `prototypes changed:\n${now}`;
}

let counted = 0;

/** Bytes of buffers made since the last call. */
export function takeAllocated(): number {
  const bytes = counted;
  counted = 0;
  return bytes;
}

const ARRAYS = [
  ...([Uint8Array, Int8Array, Uint8ClampedArray, Uint16Array, Int16Array, Uint32Array] as const),
  ...([Int32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array] as const),
];

/** From here on every buffer that this realm's own code makes is counted, views on another's bytes are not. */
export function countAllocations(): void {
  type Made = { readonly prototype: object } & (new (...args: never[]) => object);
  const counting = (original: Made, width: number): void => {
    const proxy = new Proxy(original, {
      construct(target, args, newTarget) {
        const [first] = args as unknown[];
        if (typeof first === 'number') counted += first * width;
        const made = Reflect.construct(target, args, newTarget) as { byteLength?: number };
        if (typeof first === 'object' && !(first instanceof ArrayBuffer)) {
          counted += made.byteLength ?? 0;
        }
        return made;
      },
    });
    Reflect.set(globalThis, original.name, proxy);
    // What slice, map and the like ask for.
    Reflect.set(original.prototype, 'constructor', proxy);
  };
  for (const array of ARRAYS) counting(array as Made, array.BYTES_PER_ELEMENT);
  counting(ArrayBuffer as Made, 1);
}
