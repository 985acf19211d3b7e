/** What a screen was asked to do: one thing at a time, and beside each what it failed with the last time. */
export class Tasks<Name extends string> {
  #busy = $state<Name | null>(null);
  #errors = $state.raw<Partial<Record<Name, unknown>>>({});

  get busy(): Name | null {
    return this.#busy;
  }

  get errors(): Partial<Record<Name, unknown>> {
    return this.#errors;
  }

  /** Ignored while another is under way. Never rejects: the failure stands in `errors`. */
  async run(name: Name, work: () => Promise<void>): Promise<void> {
    if (this.#busy !== null) return;
    this.#busy = name;
    this.#errors = { ...this.#errors, [name]: null };
    try {
      await work();
    } catch (error) {
      this.#errors = { ...this.#errors, [name]: error };
    } finally {
      this.#busy = null;
    }
  }
}
