/**
 * The service worker: makes the studio work with the network off, and gives it the security headers on hosts
 * that cannot set any. A small shell is saved when it installs; the rest (engine, samples) on the page's
 * request, with progress. Every file is checked against the hash of the build before it is kept. A new build
 * waits until the page asks for it, so a training run is never interrupted; and the files of the build before
 * stay until no page of it is left, because such a page may still load its parts.
 */
/// <reference lib="webworker" />
import '../src/core/glass';
import security from '../src/core/security-headers.json';
import type { OfflineCommand, OfflineMessage } from '../src/protocol/offline';

interface SavedFile {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
}

declare const self: ServiceWorkerGlobalScope & { readonly __WB_MANIFEST: readonly SavedFile[] };

const SHELL_FILE_LIMIT = 120_000; // bytes: larger files are saved on request
const HASH_HEADER = 'X-Terrarium-Sha256';
const PREFIX = 'terrarium-build-';

// The build replaces this one word by the list of files.
const manifest = self.__WB_MANIFEST;
const files = new Map(
  manifest.map((file) => [new URL(file.url, self.registration.scope).href, file]),
);
const total = [...files.values()].reduce((sum, file) => sum + file.bytes, 0);
/** Pretrained bodies: no part of a build, kept from one to the next. */
const BODIES = 'terrarium-backbones';
const bodiesUrl = new URL('backbones/', self.registration.scope).href;
const indexUrl = new URL('index.html', self.registration.scope).href;
const cacheName = PREFIX + fingerprint();

const headers: Readonly<Record<string, string>> = {
  ...security.headers,
  'Content-Security-Policy': Object.entries(security.policy)
    .map(([name, value]) => `${name} ${value}`)
    .join('; '),
};

self.addEventListener('install', (event) => {
  event.waitUntil(saveAll((file) => file.bytes <= SHELL_FILE_LIMIT));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(self.clients.claim());
});

self.addEventListener('message', (event) => {
  const command = event.data as OfflineCommand;
  if (command.type === 'take-over') event.waitUntil(self.skipWaiting());
  if (command.type === 'report')
    event.waitUntil(Promise.all([report(), forgetOlder(command.entry)]));
  if (command.type === 'save') event.waitUntil(saveAll(() => true, true));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  url.hash = '';
  url.search = '';
  const address = request.mode === 'navigate' ? indexUrl : url.href;
  const answering = address.startsWith(bodiesUrl) && address.endsWith('.onnx') ? body : answer;
  event.respondWith(answering(address, request, event));
});

async function answer(address: string, request: Request, event: FetchEvent): Promise<Response> {
  const cache = await caches.open(cacheName);
  const saved = (await cache.match(address)) ?? (await keptForOlderPages(address));
  if (saved) return saved;
  const response = await fetch(request);
  const file = files.get(address);
  if (!response.ok || !file) return withHeaders(response);
  const copy = response.clone();
  event.waitUntil(
    keep(cache, address, file, copy).then(report, (error: unknown) =>
      tell({ type: 'failed', message: String(error) }),
    ),
  );
  return withHeaders(response);
}

/** Names of scripts and engines carry their hash, so what an older build calls so is what its pages mean. */
async function keptForOlderPages(address: string): Promise<Response | undefined> {
  if (files.has(address)) return undefined;
  for (const name of await olderCaches()) {
    const response = await (await caches.open(name)).match(address);
    if (response) return response;
  }
  return undefined;
}

async function olderCaches(): Promise<string[]> {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== cacheName);
}

/** Called by a page with its own script: once the only page is one of this build, nobody needs the older ones. */
async function forgetOlder(entry: string): Promise<void> {
  if (!files.has(entry)) return;
  // The page that this one replaced may still be among the clients while its workers end.
  for (let look = 0; look < 5; look++) {
    const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
    if (pages.length <= 1) {
      for (const name of await olderCaches()) await caches.delete(name);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

/** A pretrained body: saved when it is first used, if its bytes are those that its manifest names. */
async function body(address: string, request: Request, event: FetchEvent): Promise<Response> {
  const described = address.replace(/onnx$/, 'json');
  const manifest = await answer(described, new Request(described), event);
  const { sha256, bytes } = (await manifest.json()) as Omit<SavedFile, 'url'>;
  const cache = await caches.open(BODIES);
  const saved = await cache.match(address);
  if (saved?.headers.get(HASH_HEADER) === sha256) return saved;
  const response = await fetch(request);
  if (!response.ok) return withHeaders(response);
  await keep(cache, address, { url: address, sha256, bytes }, response.clone());
  return withHeaders(response);
}

/** Saves all files that `wanted` names and that are not saved yet; an unchanged file is taken from an older build. */
async function saveAll(wanted: (file: SavedFile) => boolean, tellProgress = false): Promise<void> {
  const cache = await caches.open(cacheName);
  const older = await olderCaches();
  for (const [address, file] of files) {
    if (!wanted(file) || (await cache.match(address))) continue;
    try {
      const known = await fromOlder(older, address, file);
      if (known) await cache.put(address, known);
      else await keep(cache, address, file, await fetch(address, { cache: 'no-cache' }));
    } catch (error) {
      await tell({
        type: 'failed',
        message: error instanceof Error ? error.message : String(error),
      });
      if (!tellProgress) throw error;
      return;
    }
    if (tellProgress) await report();
  }
}

async function fromOlder(
  caches_: readonly string[],
  address: string,
  file: SavedFile,
): Promise<Response | null> {
  for (const name of caches_) {
    const response = await (await caches.open(name)).match(address);
    if (response?.headers.get(HASH_HEADER) === file.sha256) return response;
  }
  return null;
}

/** Stores a response after its bytes have proved to be the build's. */
async function keep(
  cache: Cache,
  address: string,
  file: SavedFile,
  response: Response,
): Promise<void> {
  if (!response.ok)
    throw new Error(`${file.url} could not be saved: the server answered ${response.status}.`);
  const bytes = await response.arrayBuffer();
  const found = hex(await crypto.subtle.digest('SHA-256', bytes));
  if (found !== file.sha256) {
    throw new Error(
      `${file.url} is not the file of this version and was not saved. Reload to try again.`,
    );
  }
  const kept = new Headers(response.headers);
  kept.set(HASH_HEADER, file.sha256);
  await cache.put(address, withHeaders(new Response(bytes, { status: 200, headers: kept })));
}

function withHeaders(response: Response): Response {
  const changed = new Headers(response.headers);
  for (const [name, value] of Object.entries(headers)) changed.set(name, value);
  return new Response(response.body, {
    status: response.status,
    statusText: response.statusText,
    headers: changed,
  });
}

async function report(): Promise<void> {
  const cache = await caches.open(cacheName);
  let saved = 0;
  for (const [address, file] of files) if (await cache.match(address)) saved += file.bytes;
  await tell({ type: 'saved', saved, total });
}

async function tell(message: OfflineMessage): Promise<void> {
  for (const client of await self.clients.matchAll({ includeUncontrolled: true }))
    client.postMessage(message);
}

/** Short name of this build's set of files. */
function fingerprint(): string {
  let hash = 0x811c9dc5;
  for (const { url, sha256 } of manifest) {
    for (const char of url + sha256) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
