/** Which executor trains here, and why. The probe's measurement is kept in the store and reused. */
import { version as codeVersion } from '../../package.json';
import { AppError } from '../core/errors';
import type { OnProgress, ProbeReport } from '../protocol/api';
import type { ExecutorChoice, ExecutorName } from '../protocol/entities';
import type { WorkerSet } from './workers';

const SETTING = 'device-probe';
const OVERRIDE = 'device-override';
const OVERRIDES = ['auto', 'webgpu', 'wasm'] as const;
/** What a person chose for this browser, for projects that leave it to the studio. */
export type DeviceOverride = (typeof OVERRIDES)[number];

interface KeptProbe {
  readonly key: string;
  readonly report: ProbeReport;
}

/** What a run needs to know of the device. */
export type DeviceChoice = Pick<Device, 'choose'>;

export class Device {
  readonly #workers: WorkerSet;
  #report: Promise<ProbeReport> | null = null;

  constructor(workers: WorkerSet) {
    this.#workers = workers;
  }

  /** What this computer measured; measures where it has not, or where `again` is set. */
  report(onProgress: OnProgress, again = false): Promise<ProbeReport> {
    if (again || this.#report === null) {
      const report = again ? this.#measure(onProgress) : this.#recall(onProgress);
      this.#report = report;
      // A failed measurement is not remembered: the next call tries again.
      report.catch(() => {
        if (this.#report === report) this.#report = null;
      });
    }
    return this.#report;
  }

  async override(): Promise<DeviceOverride> {
    const kept = await this.#workers.store.getSetting(OVERRIDE);
    return OVERRIDES.find((choice) => choice === kept) ?? 'auto';
  }

  async setOverride(choice: DeviceOverride): Promise<void> {
    await this.#workers.store.setSetting(OVERRIDE, choice);
  }

  async choose(
    choice: ExecutorChoice,
    onProgress: OnProgress,
  ): Promise<{ executor: ExecutorName; reason: string }> {
    if (choice === 'auto') {
      const preferred = await this.override();
      // Graphics that were there when it was chosen may be gone: then the measurement decides again.
      if (preferred === 'wasm' || (preferred === 'webgpu' && 'gpu' in navigator)) {
        return { executor: preferred, reason: 'You chose it in Settings.' };
      }
      const { chosen, reason } = await this.report(onProgress);
      return { executor: chosen, reason };
    }
    if (choice === 'webgpu' && !('gpu' in navigator)) {
      throw new AppError(
        'engine/no-webgpu',
        'This browser has no WebGPU. Choose "auto" or "wasm" as the device.',
      );
    }
    return { executor: choice, reason: 'You chose it.' };
  }

  /** As `choose`, from what is known already; null where this computer would have to be measured first. */
  async foresee(
    choice: ExecutorChoice,
  ): Promise<{ executor: ExecutorName; report: ProbeReport | null } | null> {
    const report = (await this.#report?.catch(() => null)) ?? (await this.#kept());
    if (choice !== 'auto') return { executor: choice, report };
    const preferred = await this.override();
    const executor = preferred === 'auto' ? report?.chosen : preferred;
    return executor === undefined ? null : { executor, report };
  }

  async #recall(onProgress: OnProgress): Promise<ProbeReport> {
    return (await this.#kept()) ?? this.#measure(onProgress);
  }

  async #kept(): Promise<ProbeReport | null> {
    const kept = await this.#workers.store.getSetting(SETTING);
    return isKeptProbe(kept) && kept.key === machineKey() ? kept.report : null;
  }

  async #measure(onProgress: OnProgress): Promise<ProbeReport> {
    onProgress({ label: 'Measuring this computer' });
    const report = await this.#workers.train.probe(onProgress);
    const kept: KeptProbe = { key: machineKey(), report };
    await this.#workers.store.setSetting(SETTING, kept);
    return report;
  }
}

/** What a report tells; raised when it tells more. */
const FORMAT = 2;

/** Another browser version, core count or isolation may run at another speed. */
function machineKey(): string {
  const { userAgent, hardwareConcurrency } = navigator;
  const isolated = globalThis.crossOriginIsolated;
  return [FORMAT, codeVersion, userAgent, hardwareConcurrency, isolated].join('|');
}

function isKeptProbe(value: unknown): value is KeptProbe {
  return typeof value === 'object' && value !== null && 'key' in value && 'report' in value;
}
