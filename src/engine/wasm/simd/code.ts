/**
 * WebAssembly instructions as arrays of bytes (WebAssembly 2.0 with threads and relaxed SIMD). An expression is the
 * bytes that leave its value on the stack, a statement those that leave nothing; both are put together by
 * concatenation. The types are checked when the engine validates the module.
 */
export type Code = readonly number[];

export const I32 = 0x7f;
export const F32 = 0x7d;
export const V128 = 0x7b;
export type ValueType = typeof I32 | typeof F32 | typeof V128;
const VOID = 0x40;

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit number; addresses over 2 GiB wrap to the same bits. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

function floatBytes(value: number): number[] {
  return [...new Uint8Array(Float32Array.of(value).buffer)];
}

export const seq = (...parts: readonly Code[]): Code => parts.flat();
export const NOTHING: Code = [];

const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)];
const join = (opcode: readonly number[], operands: readonly Code[]): Code => [
  ...operands.flat(),
  ...opcode,
];
const unary = (opcode: readonly number[]) => (a: Code) => join(opcode, [a]);
const binary = (opcode: readonly number[]) => (a: Code, b: Code) => join(opcode, [a, b]);
const address = (align: number, offset: number): number[] => [align, ...unsigned(offset)];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load: (pointer: Code, offset = 0): Code => [...pointer, 0x28, ...address(2, offset)],
  store: (pointer: Code, value: Code, offset = 0): Code => [
    ...pointer,
    ...value,
    0x36,
    ...address(2, offset),
  ],
  eqz: unary([0x45]),
  eq: binary([0x46]),
  ne: binary([0x47]),
  ltS: binary([0x48]),
  ltU: binary([0x49]),
  gtS: binary([0x4a]),
  geU: binary([0x4f]),
  geS: binary([0x4e]),
  add: binary([0x6a]),
  sub: binary([0x6b]),
  mul: binary([0x6c]),
  divU: binary([0x6e]),
  remU: binary([0x70]),
  and: binary([0x71]),
  or: binary([0x72]),
  select: (a: Code, b: Code, condition: Code): Code => [...a, ...b, ...condition, 0x1b],
};

export const f32 = {
  const: (value: number): Code => [0x43, ...floatBytes(value)],
  load: (pointer: Code, offset = 0): Code => [...pointer, 0x2a, ...address(2, offset)],
  store: (pointer: Code, value: Code, offset = 0): Code => [
    ...pointer,
    ...value,
    0x38,
    ...address(2, offset),
  ],
  eq: binary([0x5b]),
  lt: binary([0x5d]),
  gt: binary([0x5e]),
  abs: unary([0x8b]),
  sqrt: unary([0x91]),
  add: binary([0x92]),
  sub: binary([0x93]),
  mul: binary([0x94]),
  div: binary([0x95]),
  max: binary([0x97]),
  fromI32: unary([0xb2]),
  select: (a: Code, b: Code, condition: Code): Code => [...a, ...b, ...condition, 0x1b],
};

/** Sums of many numbers are kept in 64 bits where only a few are needed. */
export const atomic = {
  load: (pointer: Code, offset = 0): Code => [...pointer, 0xfe, 0x10, ...address(2, offset)],
  store: (pointer: Code, value: Code, offset = 0): Code => [
    ...pointer,
    ...value,
    0xfe,
    0x17,
    ...address(2, offset),
  ],
  /** Adds and gives the old value. */
  add: (pointer: Code, value: Code, offset = 0): Code => [
    ...pointer,
    ...value,
    0xfe,
    0x1e,
    ...address(2, offset),
  ],
  /** Sleeps while the number is `expected`, at most so many nanoseconds; drops the reason of waking. */
  wait: (pointer: Code, expected: Code, nanoseconds: number): Code => [
    ...pointer,
    ...expected,
    0x42,
    ...signed(nanoseconds),
    0xfe,
    0x01,
    ...address(2, 0),
    0x1a,
  ],
  notify: (pointer: Code): Code => [
    ...pointer,
    0x41,
    ...signed(0x7fffffff),
    0xfe,
    0x00,
    ...address(2, 0),
    0x1a,
  ],
};

const vectorLoad =
  (opcode: number, align: number) =>
  (pointer: Code, offset = 0): Code => [...pointer, ...simd(opcode), ...address(align, offset)];

/** Alignment is a hint only; 4 bytes are what is promised everywhere. */
export const v128 = {
  load: vectorLoad(0x00, 2),
  loadSplat: vectorLoad(0x09, 2),
  loadOne: vectorLoad(0x5c, 2),
  store: (pointer: Code, value: Code, offset = 0): Code => [
    ...pointer,
    ...value,
    ...simd(0x0b),
    ...address(2, offset),
  ],
  loadLane: (pointer: Code, value: Code, lane: number, offset = 0): Code => [
    ...pointer,
    ...value,
    ...simd(0x56),
    ...address(2, offset),
    lane,
  ],
  storeLane: (pointer: Code, value: Code, lane: number, offset = 0): Code => [
    ...pointer,
    ...value,
    ...simd(0x5a),
    ...address(2, offset),
    lane,
  ],
  /** Four lanes out of the eight of `a` and `b`. */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => [
    ...a,
    ...b,
    ...simd(0x0d),
    ...lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]),
  ],
  not: unary(simd(0x4d)),
  and: binary(simd(0x4e)),
  /** a and not b */
  andNot: binary(simd(0x4f)),
  or: binary(simd(0x50)),
  xor: binary(simd(0x51)),
  /** Bits of `a` where `mask` is 1, else of `b`. */
  select: (a: Code, b: Code, mask: Code): Code => [...a, ...b, ...mask, ...simd(0x52)],
};

export const f32x4 = {
  const: (value: number): Code => {
    const bytes = floatBytes(value);
    return [...simd(0x0c), ...bytes, ...bytes, ...bytes, ...bytes];
  },
  splat: unary(simd(0x13)),
  lane: (a: Code, lane: number): Code => [...a, ...simd(0x1f), lane],
  eq: binary(simd(0x41)),
  ne: binary(simd(0x42)),
  lt: binary(simd(0x43)),
  gt: binary(simd(0x44)),
  le: binary(simd(0x45)),
  ge: binary(simd(0x46)),
  ceil: unary(simd(0x67)),
  floor: unary(simd(0x68)),
  trunc: unary(simd(0x69)),
  nearest: unary(simd(0x6a)),
  abs: unary(simd(0xe0)),
  neg: unary(simd(0xe1)),
  sqrt: unary(simd(0xe3)),
  add: binary(simd(0xe4)),
  sub: binary(simd(0xe5)),
  mul: binary(simd(0xe6)),
  div: binary(simd(0xe7)),
  min: binary(simd(0xe8)),
  max: binary(simd(0xe9)),
  fromI32: unary(simd(0xfa)),
  /** a·b + c in one rounding where the processor has it, else in two. */
  relaxedMadd: (a: Code, b: Code, c: Code): Code => join(simd(0x105), [a, b, c]),
};

export const i32x4 = {
  const: (value: number): Code => {
    const bytes = [...new Uint8Array(Int32Array.of(value).buffer)];
    return [...simd(0x0c), ...bytes, ...bytes, ...bytes, ...bytes];
  },
  /** A constant of four different lanes. */
  lanes: (values: readonly number[]): Code => [
    ...simd(0x0c),
    ...new Uint8Array(Int32Array.from(values).buffer),
  ],
  splat: unary(simd(0x11)),
  lane: (a: Code, lane: number): Code => [...a, ...simd(0x1b), lane],
  eq: binary(simd(0x37)),
  ne: binary(simd(0x38)),
  lt: binary(simd(0x39)),
  gt: binary(simd(0x3b)),
  le: binary(simd(0x3d)),
  ge: binary(simd(0x3f)),
  abs: unary(simd(0xa0)),
  neg: unary(simd(0xa1)),
  shl: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...simd(0xab)],
  shrS: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...simd(0xac)],
  shrU: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...simd(0xad)],
  add: binary(simd(0xae)),
  sub: binary(simd(0xb1)),
  mul: binary(simd(0xb5)),
  min: binary(simd(0xb6)),
  max: binary(simd(0xb8)),
  truncF32: unary(simd(0xf8)),
};

/** One parameter or local variable of a function. */
export class Local {
  readonly get: Code;
  readonly #index: readonly number[];

  constructor(index: number) {
    this.#index = unsigned(index);
    this.get = [0x20, ...this.#index];
  }

  set(value: Code): Code {
    return [...value, 0x21, ...this.#index];
  }

  tee(value: Code): Code {
    return [...value, 0x22, ...this.#index];
  }

  /** Adds a constant, in place. */
  increase(amount: number): Code {
    return amount === 0 ? NOTHING : this.set(i32.add(this.get, i32.const(amount)));
  }
}

export const control = {
  if: (condition: Code, then: Code, otherwise: Code = NOTHING): Code => [
    ...condition,
    0x04,
    VOID,
    ...then,
    ...(otherwise.length > 0 ? [0x05, ...otherwise] : []),
    0x0b,
  ],
  /** Repeats while `condition`, which is looked at after the body. */
  doWhile: (body: Code, condition: Code): Code => [
    0x03,
    VOID,
    ...body,
    ...condition,
    0x0d,
    0x00,
    0x0b,
  ],
  return: [0x0f] as Code,
};

/** variable = from; while (variable < to) { body; variable += step }, all signed. */
export function forRange(variable: Local, from: Code, to: Code, step: number, body: Code): Code {
  const below = i32.ltS(variable.get, to);
  return seq(
    variable.set(from),
    control.if(below, control.doWhile(seq(body, variable.increase(step)), below)),
  );
}

/** The same `times` times, at least once and known now: no test before the first round. */
export function repeat(variable: Local, times: number, body: Code): Code {
  if (times <= 0) return NOTHING;
  const down = variable.tee(i32.sub(variable.get, i32.const(1)));
  return seq(variable.set(i32.const(times)), control.doWhile(seq(body), down));
}
