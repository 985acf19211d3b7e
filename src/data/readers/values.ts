/** What one cell means: missing, a number in one of two notations, a date, or text. */

/** `point`: 1,234.5 · `comma`: 1.234,5. Spaces and apostrophes between thousands are read in both. */
export type NumberFormat = 'point' | 'comma';

const MISSING = new Set([
  '',
  'NA',
  'N/A',
  'n/a',
  'na',
  'null',
  'NULL',
  'Null',
  'NaN',
  'nan',
  '?',
  '.',
]);

/** `text` must be trimmed. */
export function isMissing(text: string): boolean {
  return text.length <= 4 && MISSING.has(text);
}

const FORMS: Readonly<Record<NumberFormat, RegExp>> = {
  point:
    /^[+-]?(?:(?:0|[1-9]\d*|[1-9]\d{0,2}(?:([,' \u00a0\u202f’])\d{3})(?:\1\d{3})*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$/,
  comma:
    /^[+-]?(?:(?:0|[1-9]\d*|[1-9]\d{0,2}(?:([.' \u00a0\u202f’])\d{3})(?:\1\d{3})*)(?:,\d*)?|,\d+)(?:[eE][+-]?\d{1,3})?$/,
};

/**
 * The number a trimmed text stands for, or NaN when it is not one. `007` and whole numbers above 2^53 are not
 * numbers but names: reading them as float64 would change them.
 */
export function parseNumber(text: string, format: NumberFormat): number {
  const quick = parsePlain(text, format === 'point' ? 46 : 44);
  if (quick !== undefined) return quick;
  const plain = text.startsWith('\u2212') ? `-${text.slice(1)}` : text;
  if (plain.length > 64 || !FORMS[format].test(plain)) return Number.NaN;
  const digits =
    format === 'point'
      ? plain.replace(/[,' \u00a0\u202f’]/g, '')
      : plain.replace(/[.' \u00a0\u202f’]/g, '').replace(',', '.');
  const value = Number(digits);
  if (!Number.isFinite(value)) return Number.NaN;
  if (/^[+-]?\d+$/.test(digits) && !Number.isSafeInteger(value)) return Number.NaN;
  return value;
}

/**
 * Digits with at most one decimal mark and at most 15 figures: exact, because such a whole number and 10^k,
 * k <= 22, are both exact in float64 and one division rounds once (Clinger, PLDI 1990). Undefined: not this simple.
 */
function parsePlain(text: string, mark: number): number | undefined {
  const length = text.length;
  let at = 0;
  const negative = text.charCodeAt(0) === 45;
  if (negative) at = 1;
  const first = at;
  if (length - first > 16 || length === first) return undefined;
  let whole = 0;
  let decimals = -1;
  for (; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) {
      whole = whole * 10 + (code - 48);
      if (decimals >= 0) decimals++;
    } else if (code === mark && decimals < 0 && at > first) {
      decimals = 0;
    } else {
      return undefined;
    }
  }
  const figures = length - first - (decimals >= 0 ? 1 : 0);
  if (figures === 0 || figures > 15) return undefined;
  const integerFigures = decimals >= 0 ? figures - decimals : figures;
  if (integerFigures > 1 && text.charCodeAt(first) === 48) return undefined;
  const value = decimals > 0 ? whole / 10 ** decimals : whole;
  return negative ? -value : value;
}

const DATE =
  /^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{1,2}[- ](?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- ,]+\d{2,4}|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2},? \d{4})(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]m)?(?:Z|[+-]\d{2}:?\d{2})?)?$/i;
const TIME = /^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]m)?$/i;

export function isDate(text: string): boolean {
  return text.length <= 40 && (DATE.test(text) || TIME.test(text));
}

/** Trims without making a new string where there is nothing to trim. */
export function trimmed(text: string): string {
  const first = text.charCodeAt(0);
  const last = text.charCodeAt(text.length - 1);
  return first <= 32 || last <= 32 || first >= 128 || last >= 128 ? text.trim() : text;
}
