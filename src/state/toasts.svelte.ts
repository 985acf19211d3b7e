/** Short messages at the edge of the screen: what was done, and its Undo. */
export interface Toast {
  readonly id: number;
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
  readonly tone: 'plain' | 'bad';
}

/** WCAG 2.2.1: a message with an action stays until it is used or dismissed; a plain one leaves by itself. */
const PLAIN_MS = 6000;

export class Toasts {
  #list = $state.raw<readonly Toast[]>([]);
  #next = 1;

  get list(): readonly Toast[] {
    return this.#list;
  }

  say(text: string, action?: Toast['action']): number {
    return this.#add({ id: this.#next++, text, action, tone: 'plain' }, action === undefined);
  }

  fail(error: unknown, action?: Toast['action']): number {
    const text = error instanceof Error ? error.message : String(error);
    return this.#add({ id: this.#next++, text, action, tone: 'bad' }, false);
  }

  /** A project was locked: some may name what is in it. */
  clear(): void {
    this.#list = [];
  }

  dismiss(id: number): void {
    this.#list = this.#list.filter((toast) => toast.id !== id);
  }

  #add(toast: Toast, leaves: boolean): number {
    this.#list = [...this.#list.slice(-3), toast];
    if (leaves) setTimeout(() => this.dismiss(toast.id), PLAIN_MS);
    return toast.id;
  }
}
