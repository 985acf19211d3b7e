/** In the place of the service worker where offline work is called back: it removes itself and the saved files. */
self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('activate', (event) => {
  event.waitUntil(leave());
});

async function leave() {
  await self.registration.unregister();
  for (const name of await caches.keys()) {
    // Another program of the same host has its own.
    if (name.startsWith('terrarium-')) await caches.delete(name);
  }
  // Their parts may be gone from the server; a run is offered to be resumed.
  const pages = await self.clients.matchAll({ type: 'window' });
  await Promise.all(pages.map((page) => page.navigate(page.url)));
}
