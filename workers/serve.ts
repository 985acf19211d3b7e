/** What every worker's entry ends with: its object over Comlink, errors whole, callbacks given back. */
import * as Comlink from 'comlink';
import { installErrorCodec } from '../src/protocol/errors';

type Callback = (...args: unknown[]) => unknown;
type Released = Callback & { readonly [Comlink.releaseProxy]: () => void };

export function serve(api: object, endpoint?: Comlink.Endpoint): void {
  installErrorCodec(Comlink.transferHandlers);
  Comlink.expose(releasing(api), endpoint);
}

/** Each callback is a channel to the page, held open until it is given back: here, when its method has settled. */
export function releasing<Api extends object>(api: Api): Api {
  return new Proxy(api, {
    get(target, name): unknown {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return async (...args: unknown[]): Promise<unknown> => {
        let over = false;
        const callbacks = args.filter(isProxy);
        // What still wants to tell something afterwards speaks to nobody.
        const own = args.map((arg) =>
          isProxy(arg) ? (...told: unknown[]) => (over ? undefined : arg(...told)) : arg,
        );
        try {
          return await (Reflect.apply(method, target, own) as unknown);
        } finally {
          over = true;
          for (const callback of callbacks) callback[Comlink.releaseProxy]();
        }
      };
    },
  });
}

/** A function cannot cross a border but as a proxy. */
function isProxy(value: unknown): value is Released {
  return typeof value === 'function';
}
