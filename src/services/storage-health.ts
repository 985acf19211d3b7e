/** What the page knows of its storage before and beside the store: its name, and word of a database closed under it. */
import { AppError } from '../core/errors';
import { DATABASES_KEY, healthChannel } from '../protocol/storage';
import type { HealthMessage, StoreMark, WhyClosed } from '../protocol/storage';
import { STORE_NAME } from '../protocol/tabs';

/** The last mark of the store (protocol/storage): a lesser one at a later start means that the browser lost something. */
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
  return databases;
}

export function watchHealth(heard: (message: HealthMessage) => void): void {
  new BroadcastChannel(healthChannel(STORE_NAME)).onmessage = (
    event: MessageEvent<HealthMessage>,
  ) => heard(event.data);
}

export function closedUnderUs(why: WhyClosed, cause: unknown): AppError {
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

/** What lay here when the page last looked; null where it never did. */
export function knownStore(): StoreMark | null {
  const text = keptText(knownKey());
  if (text === null) return null;
  // Former builds counted no writes.
  const { incarnation = '', writes = 0, projects = 0 } = JSON.parse(text) as Partial<StoreMark>;
  return { incarnation, writes, projects };
}

/** Never less of the same store than is remembered already: another tab may be further. */
export function rememberStore(mark: StoreMark): void {
  const known = knownStore();
  if (known?.incarnation === mark.incarnation && known.writes > mark.writes) return;
  keep(mark);
}

/** The loss is known: what there is now counts. */
export function rememberAnew(mark: StoreMark): void {
  keep(mark);
}

function keep(mark: StoreMark): void {
  try {
    localStorage.setItem(knownKey(), JSON.stringify(mark));
  } catch (error) {
    console.warn('The browser keeps no note of what is here.', error);
  }
}

/** Of each store its own: one that was begun anew says nothing of the one beside it. */
function knownKey(): string {
  const databases = keptText(DATABASES_KEY);
  return databases === null ? KNOWN_KEY : `${KNOWN_KEY}.${databases}`;
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
