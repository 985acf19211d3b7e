/** The catalogue in use: `m.home.question`, `m.data.rows(344)`. `?pseudo` in the address swaps the pseudo-locale in. */
import { en } from './en';
import { pseudoLocale } from './pseudo';

export const isPseudo = new URLSearchParams(globalThis.location?.search ?? '').has('pseudo');

export const m: typeof en = isPseudo ? pseudoLocale(en) : en;
