/**
 * Numbers, sizes, times and dates as the reader's locale writes them. Everything that puts a figure on screen
 * goes through here, so that two places never round the same figure differently.
 */
const cache = new Map<string, Intl.NumberFormat>();

function formatter(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = JSON.stringify(options);
  let made = cache.get(key);
  if (!made) cache.set(key, (made = new Intl.NumberFormat(undefined, options)));
  return made;
}

export function integer(value: number): string {
  return formatter({ maximumFractionDigits: 0 }).format(value);
}

/** Three significant digits by default: enough to compare, few enough to read. */
export function decimal(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–';
  const small = value !== 0 && Math.abs(value) < 1e-4;
  return formatter({
    maximumSignificantDigits: Math.abs(value) >= 1000 ? undefined : digits,
    maximumFractionDigits: Math.abs(value) >= 1000 ? 0 : undefined,
    notation: small || Math.abs(value) >= 1e9 ? 'scientific' : 'standard',
  }).format(value);
}

/** 28,123 is "28K": for weights and examples a second. */
export function compact(value: number): string {
  return formatter({ notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

/** A fraction as a percentage; one decimal place by default. */
export function percent(fraction: number, digits = 1): string {
  if (!Number.isFinite(fraction)) return '–';
  return formatter({ style: 'percent', maximumFractionDigits: digits }).format(fraction);
}

const SIZES = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

/** Decimal units, as operating systems and download pages count. */
export function bytes(value: number): string {
  const step = value < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(value) / 3));
  return formatter({
    style: 'unit',
    unit: SIZES[step],
    unitDisplay: 'short',
    maximumSignificantDigits: step === 0 ? undefined : 3,
  }).format(value / 1000 ** step);
}

function unit(value: number, name: string, digits: number): string {
  return formatter({
    style: 'unit',
    unit: name,
    unitDisplay: 'narrow',
    maximumFractionDigits: digits,
  }).format(value);
}

/** A latency: 0.013ms, 1.9ms, 230ms. */
export function milliseconds(value: number): string {
  const digits = value < 0.1 ? 3 : value < 1 ? 2 : value < 10 ? 1 : 0;
  return unit(value, 'millisecond', digits);
}

/** A duration in at most two units: 0.4s, 41s, 1m 7s, 2h 5m. */
export function seconds(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value < 60) return unit(value, 'second', value < 1 ? 1 : 0);
  const whole = Math.round(value);
  if (whole < 3600)
    return `${unit(Math.floor(whole / 60), 'minute', 0)} ${unit(whole % 60, 'second', 0)}`;
  return `${unit(Math.floor(whole / 3600), 'hour', 0)} ${unit(Math.floor((whole % 3600) / 60), 'minute', 0)}`;
}

export function dateTime(timestamp: number): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(
    timestamp,
  );
}

/** "5 minutes ago", "yesterday". */
export function ago(timestamp: number, now = Date.now()): string {
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
  const passed = (timestamp - now) / 1000;
  if (passed > -60) return relative.format(0, 'second');
  if (passed > -3600) return relative.format(Math.round(passed / 60), 'minute');
  if (passed > -86_400) return relative.format(Math.round(passed / 3600), 'hour');
  return relative.format(Math.round(passed / 86_400), 'day');
}
