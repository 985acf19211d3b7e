// A static file server for dist/: loopback only, with the security headers on every response.
import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SECURITY_HEADERS } from './policy.mjs';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.csv': 'text/csv; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
};

/**
 * Serves `root` on 127.0.0.1. `port` 0 takes a free one. `headers: false` plays a host that cannot set any, and
 * `base` (`/sub/path/`) one that serves from a folder. `requests` lists every path asked for, with its query.
 */
export async function startServer({ root = DIST, port = 0, headers = true, base = '/' } = {}) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push({ method: request.method, url: request.url });
    answer(request, response).catch((error) => {
      response.writeHead(500).end(String(error));
    });
  });

  async function answer(request, response) {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405).end();
      return;
    }
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const inside = path.startsWith(base) ? path.slice(base.length) : null;
    const file =
      inside === null
        ? null
        : normalize(
            join(root, inside.endsWith('/') || inside === '' ? `${inside}index.html` : inside),
          );
    const found =
      file && (file + sep).startsWith(root + sep) ? await stat(file).catch(() => null) : null;
    const common = headers ? SECURITY_HEADERS : {};
    if (!found?.isFile()) {
      response.writeHead(404, { ...common, 'Content-Type': 'text/plain' }).end('Not found');
      return;
    }
    // Only names that carry a hash may be kept for ever.
    const cache = inside.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
    response.writeHead(200, {
      ...common,
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Length': found.size,
      'Cache-Control': cache,
    });
    if (request.method === 'HEAD') response.end();
    else createReadStream(file).pipe(response);
  }

  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://localhost:${server.address().port}${base}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}
