import type { Feeds, Program, State, StateSpec, Ticket } from '../../src/engine/executor';

/** One weight and a bias, kept as an executor would keep them. */
export class ToyState implements State {
  readonly specs: readonly StateSpec[] = [
    { name: 'w', dims: [1] },
    { name: 'b', dims: [1] },
  ];
  values = new Map<string, Float32Array>([
    ['w', Float32Array.of(0)],
    ['b', Float32Array.of(0)],
  ]);
  #kept = new Map<string, Float32Array>();
  disposed = false;

  async read(): Promise<Map<string, Float32Array>> {
    return copy(this.values);
  }

  async write(values: ReadonlyMap<string, Float32Array>): Promise<void> {
    this.values = copy(values);
  }

  async snapshot(): Promise<void> {
    this.#kept = copy(this.values);
  }

  async restore(): Promise<void> {
    this.values = copy(this.#kept);
  }

  dispose(): void {
    this.disposed = true;
  }
}

function copy(values: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> {
  return new Map([...values].map(([name, data]) => [name, data.slice()]));
}

/** Faults that a program can be told to show, by 1-based step. */
export interface ToyFaults {
  readonly nanAt?: number;
  readonly droppedAt?: number;
  readonly hangAt?: number;
}

/** How a program answers. */
export interface ToyManner {
  /** Tickets can be waited for without reading, as a device's can. */
  readonly landing?: () => Promise<void>;
  /** Further outputs of a step, by its number: in place of or beside the real ones. */
  readonly says?: (step: number) => readonly (readonly [string, number])[];
}

/** y = w x + b by gradient descent on half the squared error, with the feeds and outputs of a real program. */
export class ToyProgram implements Program {
  readonly stats = {};
  inFlight = 0;
  mostInFlight = 0;
  steps = 0;
  /** Tickets that were read, and how many at once. */
  reads = 0;
  readonly fed: Feeds[] = [];
  readonly #state: ToyState;
  readonly #learns: boolean;
  readonly #faults: ToyFaults;
  readonly #manner: ToyManner;

  constructor(state: ToyState, learns: boolean, faults: ToyFaults = {}, manner: ToyManner = {}) {
    this.#state = state;
    this.#learns = learns;
    this.#faults = faults;
    this.#manner = manner;
  }

  step(feeds: Feeds): Ticket {
    this.steps++;
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    if (this.#learns) this.fed.push(feeds);
    const result = this.#compute(feeds);
    const step = feeds.get('step')?.[0] ?? 0;
    const hangs = step > 0 && step === this.#faults.hangAt;
    const { landing, says } = this.#manner;
    for (const [name, value] of says?.(step) ?? []) result.set(name, Float32Array.of(value));
    let landed = false;
    const land = async (): Promise<void> => {
      if (hangs) await new Promise(() => undefined);
      await landing?.();
      if (!landed) this.inFlight--;
      landed = true;
    };
    return {
      ...(landing && { done: land }),
      read: async () => {
        this.reads++;
        if (!landed) await land();
        return result;
      },
    };
  }

  #compute(feeds: Feeds): Map<string, Float32Array> {
    const features = feeds.get('features') ?? [];
    const labels = feeds.get('labels') ?? [];
    const weights = feeds.get('sample_weight') ?? [];
    const step = feeds.get('step')?.[0] ?? 0;
    const rate = feeds.get('learning_rate')?.[0] ?? 0;
    const w = this.#state.values.get('w')?.[0] ?? 0;
    const b = this.#state.values.get('b')?.[0] ?? 0;
    const logits = Float32Array.from(features, (x) => w * x + b);
    const rowLoss = logits.map((y, i) => (y - (labels[i] ?? 0)) ** 2 / 2);
    let loss = 0;
    let count = 0;
    let gradW = 0;
    let gradB = 0;
    logits.forEach((y, i) => {
      const weight = weights[i] ?? 0;
      const error = y - (labels[i] ?? 0);
      loss += weight * (rowLoss[i] ?? 0);
      count += weight;
      gradW += weight * error * (features[i] ?? 0);
      gradB += weight * error;
    });
    const broken = step > 0 && step === this.#faults.nanAt;
    if (this.#learns && !broken) {
      this.#state.values.set('w', Float32Array.of(w - (rate * gradW) / count));
      this.#state.values.set('b', Float32Array.of(b - (rate * gradB) / count));
    }
    const dropped = step > 0 && step === this.#faults.droppedAt;
    return new Map([
      ['loss_numerator', Float32Array.of(broken ? NaN : loss)],
      ['loss_denominator', Float32Array.of(count)],
      ['grad_norm', Float32Array.of(broken ? NaN : Math.hypot(gradW, gradB) / count)],
      ['step_done', Float32Array.of(dropped ? step - 1 : step)],
      ['logits', logits],
      ['row_loss', rowLoss],
    ]);
  }

  dispose(): void {
    this.steps = 0;
  }
}
