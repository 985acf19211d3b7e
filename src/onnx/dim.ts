/**
 * Arithmetic on lengths that may be symbolic. A symbolic length is text: a name (`batch`), or an expression in
 * canonical form (`2*batch*seq + 1`, `(h + 1)//2`, `min(n, 4)`), so that two lengths are equal exactly when their texts
 * are. Sums of products with whole coefficients; division rounds down; what cannot be simplified is an atom. PyTorch
 * writes such expressions into files, and they are understood; a name that is no expression is an atom, too.
 */
import type { Dim } from './graph';

/** Coefficient of each product of atoms; '' is the constant. Atoms within a product are sorted and joined by '*'. */
type Sum = Map<string, number>;

/** Expressions that grow beyond this many products become atoms. */
const MAX_TERMS = 64;
const CACHE_LIMIT = 4096;
const cache = new Map<string, Sum>();

function sumOf(dim: Dim): Sum {
  if (typeof dim === 'number') return new Map(dim === 0 ? [] : [['', dim]]);
  const known = cache.get(dim);
  if (known) return known;
  const sum = parse(dim) ?? new Map([[atom(dim), 1]]);
  if (cache.size >= CACHE_LIMIT) cache.clear();
  cache.set(dim, sum);
  return sum;
}

/** A name that would be read as an expression, or not at all, stands in braces. */
function atom(text: string): string {
  return /^[^\s{}()*,]+$/.test(text) && !text.includes('//')
    ? text
    : `{${text.replace(/[{}]/g, '')}}`;
}

/** A product as its atoms; brackets keep theirs together. */
function atomsOf(product: string): string[] {
  const atoms: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < product.length; at++) {
    const char = product[at];
    if (char === '(' || char === '{') depth++;
    else if (char === ')' || char === '}') depth--;
    else if (char === '*' && depth === 0) {
      atoms.push(product.slice(start, at));
      start = at + 1;
    }
  }
  if (product !== '') atoms.push(product.slice(start));
  return atoms;
}

function productOf(atoms: readonly string[]): string {
  return [...atoms].sort().join('*');
}

function plus(a: Sum, b: Sum, factor = 1): Sum {
  const sum = new Map(a);
  for (const [product, count] of b) {
    const total = (sum.get(product) ?? 0) + factor * count;
    if (total === 0) sum.delete(product);
    else sum.set(product, total);
  }
  return sum;
}

function times(a: Sum, b: Sum): Sum {
  if (a.size * b.size > MAX_TERMS) {
    return new Map([[productOf([grouped(a), grouped(b)]), 1]]);
  }
  let sum: Sum = new Map();
  for (const [left, m] of a) {
    for (const [right, n] of b) {
      sum = plus(sum, new Map([[productOf([...atomsOf(left), ...atomsOf(right)]), m * n]]));
    }
  }
  return sum;
}

/** More atoms first, then by text: an order in which exact division works off the leading product. */
function ordered(sum: Sum): [string, number][] {
  return [...sum].sort(
    ([a], [b]) => atomsOf(b).length - atomsOf(a).length || (a < b ? -1 : a > b ? 1 : 0),
  );
}

function textOf(sum: Sum): string {
  let text = '';
  for (const [product, count] of ordered(sum)) {
    const size = Math.abs(count);
    const term = product === '' ? String(size) : size === 1 ? product : `${size}*${product}`;
    if (text === '') text = count < 0 ? `-${term}` : term;
    else text += count < 0 ? ` - ${term}` : ` + ${term}`;
  }
  return text === '' ? '0' : text;
}

function grouped(sum: Sum): string {
  const [first] = sum;
  if (sum.size === 1 && first && first[1] === 1 && atomsOf(first[0]).length === 1) return first[0];
  return `(${textOf(sum)})`;
}

function asDim(sum: Sum): Dim {
  if (sum.size === 0) return 0;
  const constant = sum.get('');
  if (sum.size === 1 && constant !== undefined) return constant;
  const text = textOf(sum);
  return /^\{[^{}]*\}$/.test(text) ? text.slice(1, -1) : text;
}

/** The quotient where `a` is a whole multiple of `b`. */
function exactly(a: Sum, b: Sum): Sum | undefined {
  const [leading] = ordered(b);
  if (!leading) return undefined;
  let rest = a;
  let quotient: Sum = new Map();
  for (let steps = 0; rest.size > 0; steps++) {
    const [first] = ordered(rest);
    if (!first || steps > MAX_TERMS) return undefined;
    const left = atomsOf(first[0]);
    for (const factor of atomsOf(leading[0])) {
      const at = left.indexOf(factor);
      if (at === -1) return undefined;
      left.splice(at, 1);
    }
    const count = first[1] / leading[1];
    if (!Number.isInteger(count)) return undefined;
    const term: Sum = new Map([[productOf(left), count]]);
    quotient = plus(quotient, term);
    rest = plus(rest, times(term, b), -1);
  }
  return quotient;
}

function divided(a: Sum, b: Sum): Sum {
  const exact = exactly(a, b);
  if (exact) return exact;
  const divisor = b.size === 1 ? b.get('') : undefined;
  if (divisor === undefined || divisor <= 0) {
    return new Map([[`(${grouped(a)}//${grouped(b)})`, 1]]);
  }
  // floor((k·q + r) / k) = q + floor(r / k), with the coefficients of r in [0, k).
  const whole: Sum = new Map();
  const rest: Sum = new Map();
  for (const [product, count] of a) {
    const quotient = Math.floor(count / divisor);
    if (quotient !== 0) whole.set(product, quotient);
    if (count !== quotient * divisor) rest.set(product, count - quotient * divisor);
  }
  if (rest.size === 0 || (rest.size === 1 && rest.has(''))) return whole;
  return plus(whole, quotientOf(rest, divisor));
}

/** floor(r / k); floor((floor(x / a) + c) / b) = floor((x + a·c) / (a·b)). */
function quotientOf(rest: Sum, divisor: number): Sum {
  const inner = [...rest].find(([product]) => product !== '');
  const constant = rest.get('') ?? 0;
  const nested = inner?.[1] === 1 ? /^\((.*)\/\/(\d+)\)$/.exec(inner[0]) : null;
  const [, dividend = '', own = ''] = nested ?? [];
  if (nested && rest.size === (constant === 0 ? 1 : 2) && isBalanced(dividend)) {
    const shifted = plus(sumOf(stripped(dividend)), sumOf(constant * Number(own)));
    return divided(shifted, sumOf(divisor * Number(own)));
  }
  return new Map([[`(${grouped(rest)}//${divisor})`, 1]]);
}

function isBalanced(text: string): boolean {
  let depth = 0;
  for (const char of text) {
    if (char === '(') depth++;
    else if (char === ')' && --depth < 0) return false;
  }
  return depth === 0;
}

function stripped(text: string): string {
  return text.startsWith('(') && text.endsWith(')') && isBalanced(text.slice(1, -1))
    ? text.slice(1, -1)
    : text;
}

/** Names may hold almost anything; + and - are signs only with a space before them, or at the start. */
function tokensOf(text: string): string[] | undefined {
  const tokens: string[] = [];
  for (let at = 0; at < text.length;) {
    const rest = text.slice(at);
    const previous = at === 0 ? '(' : text.charAt(at - 1);
    const sign = /^[+-]\s/.test(rest) || (rest.startsWith('-') && /[\s(]/.test(previous));
    const [token] =
      (sign ? [rest.charAt(0)] : /^(\s+|\{[^{}]*\}|\/\/|[(),*])/.exec(rest)) ??
      /^(?:(?!\/\/)[^\s(){}*,])+/.exec(rest) ??
      [];
    if (token === undefined) return undefined;
    if (token.trim() !== '') tokens.push(token);
    at += token.length;
  }
  return tokens;
}

/** Recursive descent over `a*b + (c - 1)//2`, `floor(a/2)`, `max(a, 1)`; undefined for what is no such text. */
function parse(text: string): Sum | undefined {
  const tokens = tokensOf(text);
  if (!tokens || tokens.length > 1000) return undefined;
  let at = 0;
  let depth = 0;
  const total = (): Sum | undefined => {
    if (++depth > 50) return undefined;
    let sum: Sum = new Map();
    let sign = tokens[at] === '-' ? (at++, -1) : 1;
    for (;;) {
      const term = product();
      if (!term) return undefined;
      sum = plus(sum, term, sign);
      const next = tokens[at];
      if (next !== '+' && next !== '-') break;
      sign = next === '+' ? 1 : -1;
      at++;
    }
    depth--;
    return sum;
  };
  const product = (): Sum | undefined => {
    let left = factor();
    while (left && (tokens[at] === '*' || tokens[at] === '//')) {
      const operator = tokens[at++];
      const right = factor();
      if (!right || (operator === '//' && right.size === 0)) return undefined;
      left = operator === '*' ? times(left, right) : divided(left, right);
    }
    return left;
  };
  const factor = (): Sum | undefined => {
    const token = tokens[at++];
    if (token === undefined) return undefined;
    if (token === '(') {
      const inner = total();
      return tokens[at++] === ')' ? inner : undefined;
    }
    if (/^\d+$/.test(token)) {
      const value = Number(token);
      return Number.isSafeInteger(value) ? sumOf(value) : undefined;
    }
    const call = tokens[at] === '(' && /^(min|max)$/i.test(token) ? token.toLowerCase() : undefined;
    if (call) {
      at++;
      const parts: Dim[] = [];
      do {
        const part = total();
        if (!part) return undefined;
        parts.push(asDim(part));
      } while (tokens[at++] === ',');
      if (tokens[at - 1] !== ')') return undefined;
      const least = parts.reduce(call === 'min' ? minDim : maxDim);
      // What stays an extreme is an atom; reading it again would not end.
      return String(least).startsWith(`${call}(`) ? new Map([[String(least), 1]]) : sumOf(least);
    }
    if (/^[(),*/+-]+$/.test(token)) return undefined;
    return new Map([[token, 1]]);
  };
  const sum = total();
  return at === tokens.length ? sum : undefined;
}

export function addDims(a: Dim, b: Dim): Dim {
  return typeof a === 'number' && typeof b === 'number' ? a + b : asDim(plus(sumOf(a), sumOf(b)));
}

export function subDims(a: Dim, b: Dim): Dim {
  return typeof a === 'number' && typeof b === 'number'
    ? a - b
    : asDim(plus(sumOf(a), sumOf(b), -1));
}

export function mulDims(a: Dim, b: Dim): Dim {
  return typeof a === 'number' && typeof b === 'number'
    ? a * b + 0
    : asDim(times(sumOf(a), sumOf(b)));
}

/** Rounds towards negative infinity; lengths divided by lengths are never negative. */
export function floorDivDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b) + 0;
  if (b === 1) return a;
  return asDim(divided(sumOf(a), sumOf(b)));
}

export function ceilDivDims(a: Dim, b: Dim): Dim {
  return typeof a === 'number' && typeof b === 'number'
    ? Math.ceil(a / b)
    : floorDivDims(addDims(a, subDims(b, 1)), b);
}

export function modDims(a: Dim, b: Dim): Dim {
  return subDims(a, mulDims(floorDivDims(a, b), b));
}

/** `a / b` where that is a whole expression, else undefined. */
export function exactDivDims(a: Dim, b: Dim): Dim | undefined {
  const quotient = exactly(sumOf(a), sumOf(b));
  return quotient && asDim(quotient);
}

export function productDims(dims: readonly Dim[]): Dim {
  return dims.reduce<Dim>(mulDims, 1);
}

/** Whether two lengths are known to be equal. */
export function equalDims(a: Dim, b: Dim): boolean {
  return a === b || subDims(a, b) === 0;
}

/** Between what an expression lies whose symbols are lengths of 1 or more. */
function boundsOf(dim: Dim): readonly [least: number, most: number] {
  let least = 0;
  let most = 0;
  for (const [product, count] of sumOf(dim)) {
    let low = 1;
    let high = Infinity;
    if (product === '') high = 1;
    else if (/\(/.test(product)) {
      // Quotients of lengths may be 0; of differences, and least and largest ones, nothing is known.
      low = /\/\/|^max/.test(product) && !/ - |min|\(-/.test(product) ? 0 : -Infinity;
    }
    least += count > 0 ? count * low : count * high;
    most += count > 0 ? count * high : count * low;
  }
  return [least, most];
}

/** 1, 0 or -1 where the sign is the same whatever the lengths (of 1 or more) are, else undefined. */
export function signOf(dim: Dim): number | undefined {
  const [least, most] = boundsOf(dim);
  if (least > 0) return 1;
  if (most < 0) return -1;
  return least === 0 && most === 0 ? 0 : undefined;
}

function extreme(name: 'min' | 'max', a: Dim, b: Dim): Dim {
  const [least, most] = boundsOf(subDims(a, b));
  if (least >= 0) return name === 'max' ? a : b;
  if (most <= 0) return name === 'max' ? b : a;
  const [left, right] = [textOf(sumOf(a)), textOf(sumOf(b))].sort();
  return `${name}(${left}, ${right})`;
}

export function minDim(a: Dim, b: Dim): Dim {
  return extreme('min', a, b);
}

export function maxDim(a: Dim, b: Dim): Dim {
  return extreme('max', a, b);
}

/** The length when its symbols have these values; undefined where one has none. */
export function evaluateDim(dim: Dim, values: ReadonlyMap<string, number>): number | undefined {
  if (typeof dim === 'number') return dim;
  const direct = values.get(dim);
  if (direct !== undefined) return direct;
  let total = 0;
  for (const [product, count] of sumOf(dim)) {
    let term = count;
    for (const own of atomsOf(product)) {
      const value = evaluateAtom(own, values);
      if (value === undefined) return undefined;
      term *= value;
    }
    total += term;
  }
  return total;
}

function evaluateAtom(own: string, values: ReadonlyMap<string, number>): number | undefined {
  const name = own.startsWith('{') ? own.slice(1, -1) : own;
  const direct = values.get(name);
  if (direct !== undefined) return direct;
  const call = /^(min|max)\((.*)\)$/.exec(own);
  const parts = call
    ? topLevel(call[2] ?? '', ', ')
    : own.startsWith('(')
      ? topLevel(own.slice(1, -1), '//')
      : [];
  const numbers = parts.map((part) => evaluateDim(stripped(part), values));
  const [a, b] = numbers;
  if (a === undefined || b === undefined) return numbers.length === 1 ? a : undefined;
  if (call) return call[1] === 'min' ? Math.min(a, b) : Math.max(a, b);
  return Math.floor(a / b) + 0;
}

function topLevel(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') depth++;
    else if (text[at] === ')') depth--;
    else if (depth === 0 && text.startsWith(separator, at)) {
      parts.push(text.slice(start, at));
      start = at + separator.length;
      at = start - 1;
    }
  }
  return [...parts, text.slice(start)];
}
