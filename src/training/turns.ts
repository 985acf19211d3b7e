/**
 * Lets the event loop turn, so that messages come in. A timer would do, but browsers make nested ones wait 4 ms, which
 * is more than a small step takes; a message to oneself waits for nothing but what came before it.
 */
export class Turns {
  // Two in turn: a port that is sent another message while it delivers one may go on for long before others' come.
  readonly #channels = [new MessageChannel(), new MessageChannel()] as const;
  #turn = 0;
  #turned: () => void = () => undefined;

  constructor() {
    for (const { port1 } of this.#channels) port1.onmessage = () => this.#turned();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#turned = resolve;
      this.#turn = 1 - this.#turn;
      this.#channels[this.#turn === 0 ? 0 : 1].port2.postMessage(null);
    });
  }

  close(): void {
    for (const { port1 } of this.#channels) port1.close();
  }
}
