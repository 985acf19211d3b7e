/**
 * Lets the event loop turn, so that messages come in. A timer would do, but browsers make nested ones wait 4 ms, which
 * is more than a small step takes; a message to oneself waits for nothing but what came before it.
 */
export class Turns {
  readonly #channel = new MessageChannel();
  #turned: () => void = () => undefined;

  constructor() {
    this.#channel.port1.onmessage = () => this.#turned();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#turned = resolve;
      this.#channel.port2.postMessage(null);
    });
  }

  close(): void {
    this.#channel.port1.close();
  }
}
