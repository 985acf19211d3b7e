/** Typed reading of a layer's configuration. What is absent takes Keras's default; what is odd is an error. */
import { shownValue } from '../../core/shown';
import { broken } from './files';
import type { LayerConfig } from './files';

export function number({ config, name }: LayerConfig, key: string, fallback: number): number {
  const value = config[key] ?? fallback;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw odd(name, key, value);
}

export function flag({ config, name }: LayerConfig, key: string, fallback: boolean): boolean {
  const value = config[key] ?? fallback;
  if (typeof value === 'boolean') return value;
  throw odd(name, key, value);
}

export function text({ config, name }: LayerConfig, key: string, fallback: string): string {
  const value = config[key] ?? fallback;
  if (typeof value === 'string') return value;
  throw odd(name, key, value);
}

/** `n` or `[n, m, …]` for as many axes. */
export function lengths(layer: LayerConfig, key: string, axes: number, fallback: number): number[] {
  const value = layer.config[key] ?? fallback;
  const list: unknown[] = Array.isArray(value) ? value : Array.from({ length: axes }, () => value);
  const good = list.every((item): item is number => Number.isSafeInteger(item) && Number(item) > 0);
  if (good && list.length === axes) return list as number[];
  throw odd(layer.name, key, value);
}

/** Keras keeps channels last unless told otherwise; the other order is rare and not read. */
export function refuseChannelsFirst(layer: LayerConfig): void {
  const format = layer.config['data_format'] ?? 'channels_last';
  if (format === 'channels_last' || format === 'channelsLast') return;
  throw broken(`the layer "${layer.name}" keeps channels first; only channels_last is read`, {
    layer: layer.name,
  });
}

export function odd(layer: string, key: string, value: unknown): Error {
  return broken(`the layer "${layer}" has ${key} = ${told(value)}`, {
    layer,
    key,
  });
}

/** Short lists of numbers are what is mostly wrong; anything else is only named. */
function told(value: unknown): string {
  const short = Array.isArray(value) && value.length <= 8;
  return short && value.every((item) => typeof item === 'number')
    ? JSON.stringify(value)
    : shownValue(value);
}
