/** Answers batch requests on a port until the other side closes it. Batches are made one at a time, in order. */
import { encodeError } from '../../protocol/errors';
import type { BatchMessage, BatchReply, BatchRequest } from '../../protocol/batches';

/** The part of a MessagePort that is used; so tests may give either end. */
export interface BatchPort {
  onmessage: ((event: MessageEvent<BatchRequest>) => void) | null;
  postMessage(message: BatchReply, transfer: Transferable[]): void;
  start(): void;
}

export function serveOnPort(
  port: BatchPort,
  maker: { make(request: BatchRequest): BatchMessage },
): void {
  port.onmessage = ({ data: request }) => {
    try {
      const batch = maker.make(request);
      const { features, labels, weights, rows } = batch;
      port.postMessage(batch, [features, labels, weights, rows.buffer as ArrayBuffer]);
    } catch (error) {
      const { code, message, data } = encodeError(error);
      port.postMessage({ type: 'failure', error: { code, message, data } }, []);
    }
  };
  port.start();
}
