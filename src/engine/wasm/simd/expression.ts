/**
 * The expressions of the elementwise tables (src/ops/elementwise), written for four elements at a time. The tables hold
 * one line of WGSL for each operator; the part of its grammar that they use is read here. What is not known, a name or
 * a function, is told by `undefined`: then the operator has no SIMD form.
 */
import { f32x4, i32x4, v128 } from './code';
import type { Code, Local } from './code';
import * as math from './math';
import type { FunctionWriter } from './module';
import type { Kind } from './view';

/** Lanes of a bool are all ones or all zeros while they are computed with. */
export interface Typed {
  readonly kind: Kind;
  readonly code: Code;
  /** A literal that has not met its type yet. */
  readonly literal?: number;
}

class Unknown extends Error {}

const TOKEN =
  /\s*(0x[0-9a-f]+u?|\d+\.?\d*(?:e[-+]?\d+)?[uf]?|\.\d+|[A-Za-z_][\w.]*|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>!~&|^(),])/giy;

function tokens(text: string): string[] {
  const found: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (!match?.[1]) throw new Unknown();
    found.push(match[1]);
  }
  return found;
}

const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['+', '-'],
  ['*', '/'],
];

export function literal(value: number, kind: Kind): Typed {
  if (kind === 'float') return { kind, code: f32x4.const(value) };
  if (kind === 'int') return { kind, code: i32x4.const(value) };
  return { kind, code: i32x4.const(value === 0 ? 0 : -1) };
}

export function toKind(value: Typed, kind: Kind): Typed {
  if (value.literal !== undefined) return literal(value.literal, kind);
  if (value.kind === kind) return value;
  const { code } = value;
  if (kind === 'bool') {
    return value.kind === 'int'
      ? { kind, code: i32x4.ne(code, i32x4.const(0)) }
      : { kind, code: f32x4.ne(code, f32x4.const(0)) };
  }
  if (value.kind === 'bool') {
    return kind === 'int'
      ? { kind, code: v128.and(code, i32x4.const(1)) }
      : { kind, code: v128.and(code, f32x4.const(1)) };
  }
  return kind === 'int'
    ? { kind, code: i32x4.truncF32(code) }
    : { kind, code: f32x4.fromI32(code) };
}

type FloatFunction = (writer: FunctionWriter, x: Local) => Code;
const FLOAT_FUNCTIONS: Readonly<Record<string, FloatFunction>> = {
  exp: math.exp,
  log: math.log,
  tanh: math.tanh,
  tanh_safe: math.tanh,
  erf: math.erf,
  sin: math.sin,
  cos: math.cos,
  tan: (writer, x) => f32x4.div(math.sin(writer, x), math.cos(writer, x)),
  sqrt: (_, x) => f32x4.sqrt(x.get),
  ceil: (_, x) => f32x4.ceil(x.get),
  floor: (_, x) => f32x4.floor(x.get),
  round: (_, x) => f32x4.nearest(x.get),
  trunc: (_, x) => f32x4.trunc(x.get),
  expm1: math.expm1,
  log1p: math.log1p,
  // ½·(u + u / (u + 1)), u = e^|x| − 1, with x's sign
  sinh: (writer, x) => {
    const [size, u] = [writer.vector(), writer.vector()];
    const above = f32x4.div(u.get, f32x4.add(u.get, f32x4.const(1)));
    const half = f32x4.mul(f32x4.add(u.get, above), f32x4.const(0.5));
    const signed = v128.or(half, v128.and(x.get, i32x4.const(-0x80000000)));
    return [...size.set(f32x4.abs(x.get)), ...u.set(math.expm1(writer, size)), ...signed];
  },
  cosh: (writer, x) => {
    const e = writer.vector();
    const sum = f32x4.add(e.get, f32x4.div(f32x4.const(1), e.get));
    return [...e.set(math.exp(writer, x)), ...f32x4.mul(sum, f32x4.const(0.5))];
  },
};

const COMPARISONS = {
  '==': [f32x4.eq, i32x4.eq],
  '!=': [f32x4.ne, i32x4.ne],
  '<': [f32x4.lt, i32x4.lt],
  '>': [f32x4.gt, i32x4.gt],
  '<=': [f32x4.le, i32x4.le],
  '>=': [f32x4.ge, i32x4.ge],
} as const;

class Reader {
  #at = 0;

  constructor(
    readonly writer: FunctionWriter,
    readonly words: readonly string[],
    readonly names: ReadonlyMap<string, Typed>,
    /** What `Element(…)` converts to. */
    readonly element: Kind,
  ) {}

  whole(): Typed {
    const value = this.level(0);
    if (this.#at < this.words.length) throw new Unknown();
    return value;
  }

  level(depth: number): Typed {
    const operators = LEVELS[depth];
    if (operators === undefined) return this.prefix();
    let left = this.level(depth + 1);
    for (;;) {
      const operator = this.words[this.#at];
      if (operator === undefined || !operators.includes(operator)) return left;
      this.#at++;
      left = this.infix(operator, left, this.level(depth + 1));
    }
  }

  prefix(): Typed {
    const word = this.words[this.#at];
    if (word === '-') {
      this.#at++;
      const value = this.prefix();
      if (value.literal !== undefined) return { ...value, literal: -value.literal };
      if (value.kind === 'bool') throw new Unknown();
      const negate = value.kind === 'float' ? f32x4.neg : i32x4.neg;
      return { kind: value.kind, code: negate(value.code) };
    }
    if (word === '!') {
      this.#at++;
      return { kind: 'bool', code: v128.not(toKind(this.prefix(), 'bool').code) };
    }
    return this.atom();
  }

  atom(): Typed {
    const word = this.words[this.#at++];
    if (word === undefined) throw new Unknown();
    if (word === '(') {
      const inside = this.level(0);
      this.expect(')');
      return inside;
    }
    if (/^[\d.]/.test(word)) {
      const value = Number(word.replace(/[uf]$/, ''));
      return { kind: 'int', code: [], literal: value };
    }
    if (this.words[this.#at] === '(') return this.call(word);
    const named = this.names.get(word);
    if (named === undefined) throw new Unknown();
    return named;
  }

  expect(word: string): void {
    if (this.words[this.#at++] !== word) throw new Unknown();
  }

  call(name: string): Typed {
    this.expect('(');
    if (name === 'infinity' || name === 'nan') {
      this.expect(')');
      return literal(name === 'nan' ? NaN : Infinity, 'float');
    }
    const values: Typed[] = [this.level(0)];
    while (this.words[this.#at] === ',') {
      this.#at++;
      values.push(this.level(0));
    }
    this.expect(')');
    const [a, b, c] = values as [Typed, Typed, Typed];
    const float = (value: Typed) => toKind(value, 'float').code;
    if (name === 'Element') return toKind(a, this.element);
    if (name === 'f32') return toKind(a, 'float');
    if (name === 'i32') return toKind(a, 'int');
    if (name === 'select') {
      // WGSL's order: otherwise, then, condition.
      const kind = this.common(a, b);
      const condition = toKind(c, 'bool').code;
      const truth = a.literal === 0 && b.literal === 1;
      if (truth) return { kind: 'bool', code: condition };
      const code = v128.select(toKind(b, kind).code, toKind(a, kind).code, condition);
      return { kind, code };
    }
    if (name === 'abs' && a.kind === 'int' && a.literal === undefined) {
      return { kind: 'int', code: i32x4.abs(a.code) };
    }
    if (name === 'abs') return { kind: 'float', code: f32x4.abs(float(a)) };
    if (name === 'sign') {
      if (a.kind === 'int') throw new Unknown();
      const x = this.writer.vector();
      return { kind: 'float', code: [...x.set(float(a)), ...math.sign(x)] };
    }
    if (name === 'min' || name === 'max') return this.extreme(name, a, b);
    if (name === 'clamp') return this.extreme('min', this.extreme('max', a, b), c);
    const known = FLOAT_FUNCTIONS[name];
    if (known === undefined) throw new Unknown();
    const x = this.writer.vector();
    return { kind: 'float', code: [...x.set(float(a)), ...known(this.writer, x)] };
  }

  /** NaN of either side is the result, as f32x4.min has it. */
  extreme(name: 'min' | 'max', a: Typed, b: Typed): Typed {
    const kind = this.common(a, b);
    if (kind === 'bool') throw new Unknown();
    const operation = (kind === 'float' ? f32x4 : i32x4)[name];
    return { kind, code: operation(toKind(a, kind).code, toKind(b, kind).code) };
  }

  common(a: Typed, b: Typed): Kind {
    if (a.literal !== undefined && b.literal !== undefined) {
      const whole = Number.isInteger(a.literal) && Number.isInteger(b.literal);
      return whole && this.element === 'int' ? 'int' : 'float';
    }
    const kind = a.literal !== undefined ? b.kind : a.kind;
    const other = b.literal !== undefined ? kind : b.kind;
    if (kind === other) return kind;
    if (kind === 'float' || other === 'float') return 'float';
    return 'int';
  }

  infix(operator: string, a: Typed, b: Typed): Typed {
    if (operator === '&&' || operator === '||') {
      const join = operator === '&&' ? v128.and : v128.or;
      return { kind: 'bool', code: join(toKind(a, 'bool').code, toKind(b, 'bool').code) };
    }
    const comparison = COMPARISONS[operator as keyof typeof COMPARISONS];
    let kind = this.common(a, b);
    if (comparison !== undefined) {
      const bools = a.kind === 'bool' && b.kind === 'bool';
      if (bools && a.literal === undefined && b.literal === undefined) {
        const unequal = v128.xor(a.code, b.code);
        if (operator === '!=') return { kind: 'bool', code: unequal };
        if (operator === '==') return { kind: 'bool', code: v128.not(unequal) };
      }
      if (kind === 'bool') {
        const other = a.literal ?? b.literal;
        const asked = a.literal === undefined ? a : b;
        // `a != 0` of a bool is the bool.
        if (operator === '!=' && other === 0) return asked;
        kind = 'int';
      }
      const compare = comparison[kind === 'float' ? 0 : 1];
      return { kind: 'bool', code: compare(toKind(a, kind).code, toKind(b, kind).code) };
    }
    if (kind === 'bool') kind = 'int';
    const [x, y] = [toKind(a, kind).code, toKind(b, kind).code];
    if (operator === '&' && kind === 'int') return { kind, code: v128.and(x, y) };
    if (operator === '|' && kind === 'int') return { kind, code: v128.or(x, y) };
    if (operator === '^' && kind === 'int') return { kind, code: v128.xor(x, y) };
    const set = kind === 'float' ? f32x4 : i32x4;
    if (operator === '+') return { kind, code: set.add(x, y) };
    if (operator === '-') return { kind, code: set.sub(x, y) };
    if (operator === '*') return { kind, code: set.mul(x, y) };
    if (operator === '/' && kind === 'float') return { kind, code: f32x4.div(x, y) };
    throw new Unknown();
  }
}

/** The expression over these names, or undefined where it uses what has no SIMD form. */
export function expression(
  writer: FunctionWriter,
  text: string,
  names: ReadonlyMap<string, Typed>,
  element: Kind,
): Typed | undefined {
  try {
    const value = new Reader(writer, tokens(text), names, element).whole();
    return value.literal === undefined ? value : toKind(value, element);
  } catch (cause) {
    if (cause instanceof Unknown) return undefined;
    throw cause;
  }
}
