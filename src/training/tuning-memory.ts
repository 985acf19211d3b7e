/** What kernels were fastest, kept with the studio's settings: measured once on a device, not once a page. */
import type { TuningMemory } from '../engine/webgpu/tuner';
import type { StoreApi } from '../protocol/api';

export type SettingStore = Pick<StoreApi, 'getSetting' | 'setSetting'>;

/** @param store asked for late: a worker is connected to it after it starts */
export function tuningMemory(store: () => SettingStore): TuningMemory {
  const key = (device: string): string => `tuning:${device}`;
  return {
    async recall(device) {
      const kept = await store().getSetting(key(device));
      if (!Array.isArray(kept)) return new Map();
      // A setting that an older build or a hand changed is measured again, not believed.
      return new Map(kept.filter(isEntry));
    },
    async keep(device, tunings) {
      await store().setSetting(key(device), [...tunings]);
    },
  };
}

const isEntry = (entry: unknown): entry is [string, string] =>
  Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === 'string');
