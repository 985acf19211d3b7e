/** What this computer offers for training: measured once, then remembered by the store until measured again. */
import type { Progress, ProbeReport } from '../protocol/api';
import type { ExecutorName } from '../protocol/entities';
import type { Studio } from './studio';

export class Device {
  readonly #studio: () => Promise<Studio>;
  #report = $state.raw<ProbeReport | null>(null);
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  #pending: Promise<ProbeReport> | null = null;

  constructor(studio: () => Promise<Studio>) {
    this.#studio = studio;
  }

  get report(): ProbeReport | null {
    return this.#report;
  }

  /** Set while it is being measured. */
  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): unknown {
    return this.#error;
  }

  /** Speed of a training step on the executor that is used, in milliseconds and GFLOP/s. */
  speed(executor: ExecutorName | 'auto' = 'auto'): { stepMs: number; gflops: number } | null {
    const report = this.#report;
    if (!report) return null;
    const name = executor === 'auto' ? report.chosen : executor;
    if (name === 'webgpu') return report.webgpu;
    return name === 'wasm' ? report.wasm : null;
  }

  /** Measures at most once at a time; every caller gets the same answer. */
  async measure(again = false): Promise<ProbeReport> {
    if (this.#report && !again) return this.#report;
    this.#pending ??= this.#run(again).finally(() => (this.#pending = null));
    return this.#pending;
  }

  /** Takes up an earlier measurement of this browser, where there is one; never measures for the first time. */
  async recall(): Promise<void> {
    if (this.#report || this.#pending) return;
    const { store } = await this.#studio();
    const kept = await store.getSetting('device-probe');
    if (kept !== undefined && kept !== null) await this.measure();
  }

  async #run(again: boolean): Promise<ProbeReport> {
    this.#error = null;
    this.#progress = { label: '' };
    try {
      const studio = await this.#studio();
      this.#report = await studio.probe((progress) => (this.#progress = progress), again);
      return this.#report;
    } catch (error) {
      this.#error = error;
      throw error;
    } finally {
      this.#progress = null;
    }
  }
}
