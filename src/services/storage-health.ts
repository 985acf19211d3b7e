/** What the page knows of its storage before and beside the store: its name, and word of a database closed under it. */
import { AppError } from '../core/errors';
import { DATABASES_KEY, healthChannel } from '../protocol/storage';
import type { HealthMessage } from '../protocol/storage';
import { STORE_NAME } from '../protocol/tabs';

/** Projects that lay here when the page last looked: none of them there later means that the browser lost them. */
const KNOWN_KEY = 'terrarium.known';

/** Tells the store's worker which databases are its own. */
export function storeWorkerName(): string {
  const databases = keptText(DATABASES_KEY);
  return databases === null ? 'store' : `store?${new URLSearchParams({ databases }).toString()}`;
}

/** Other databases from the next start on, beside the damaged ones, which stay as they are. Returns their name. */
export function beginAnew(): string {
  const databases = `${STORE_NAME}-${new Date().toISOString().slice(0, 10)}-${crypto.randomUUID().slice(0, 8)}`;
  localStorage.setItem(DATABASES_KEY, databases);
  localStorage.removeItem(KNOWN_KEY);
  return databases;
}

export function watchHealth(heard: (message: HealthMessage) => void): void {
  new BroadcastChannel(healthChannel(STORE_NAME)).onmessage = (
    event: MessageEvent<HealthMessage>,
  ) => heard(event.data);
}

export function closedUnderUs(why: HealthMessage['why'], cause: unknown): AppError {
  const words = {
    deleted:
      'The storage of this site was deleted while the studio was open: by the browser, by its settings, or by a tool. What this page still shows is not kept any more.',
    newer:
      'A newer version of Terrarium has taken over the storage in another tab. Reload this page to use it; nothing was lost.',
    closed:
      'The browser closed the storage while the studio was open. What was saved until then is on the disk.',
  }[why];
  return new AppError('store/closed-under-us', words, { why }, cause);
}

export interface KnownStore {
  readonly incarnation: string;
  readonly projects: number;
}

/** What lay here when the page last looked; null where it never did. Numbers only, so that no name is told. */
export function knownStore(): KnownStore | null {
  const text = keptText(KNOWN_KEY);
  return text === null ? null : (JSON.parse(text) as KnownStore);
}

export function rememberStore(known: KnownStore): void {
  try {
    localStorage.setItem(KNOWN_KEY, JSON.stringify(known));
  } catch (error) {
    console.warn('The browser keeps no note of what is here.', error);
  }
}

/** null where the browser forbids storage: then the store says so itself. */
function keptText(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch (error) {
    console.warn('The browser forbids storage here.', error);
    return null;
  }
}
