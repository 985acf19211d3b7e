// The response headers that make the promise "nothing leaves the glass" a rule of the browser. They stand in one
// JSON file, which the service worker reads too: it sets them where a host cannot (workers/offline.sw.ts).
import { readFileSync } from 'node:fs';

/** @type {{ policy: Record<string, string>, headers: Record<string, string> }} */
const { policy, headers } = JSON.parse(
  readFileSync(new URL('../../src/core/security-headers.json', import.meta.url), 'utf8'),
);

const join = (entries) => entries.map(([name, value]) => `${name} ${value}`).join('; ');

/** For a <meta> element, which must not name frame-ancestors. */
export const META_POLICY = join(
  Object.entries(policy).filter(([name]) => name !== 'frame-ancestors'),
);

/** @type {Record<string, string>} */
export const SECURITY_HEADERS = {
  'Content-Security-Policy': join(Object.entries(policy)),
  ...headers,
};
