// Builds a page of TypeScript modules and serves it on loopback, isolated, for tools and tests that drive it.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize, sep } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** @param root folder of an index.html; gives the address, and a `close` that leaves nothing behind */
export async function servePage(root) {
  const folder = await mkdtemp(join(tmpdir(), 'terrarium-page-'));
  const forget = () => rm(folder, { recursive: true, force: true });
  try {
    await buildPage(root, folder);
    const server = await serve(folder);
    const close = async () => {
      server.close();
      await forget();
    };
    return { address: `http://127.0.0.1:${server.address().port}/`, close };
  } catch (error) {
    await forget();
    throw error;
  }
}

/** jax-js's threaded workers break when the page is minified, so nothing is. */
async function buildPage(root, outDir) {
  const { build } = await import('vite');
  await build({
    configFile: false,
    root,
    base: './',
    publicDir: false,
    logLevel: 'error',
    worker: { format: 'es' },
    build: { outDir, emptyOutDir: true, target: 'es2023', minify: false, assetsInlineLimit: 0 },
  });
}

/** With the headers that give pages shared memory. */
async function serve(root) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const file = normalize(
      join(root, pathname === '/' ? 'index.html' : decodeURIComponent(pathname)),
    );
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (!file.startsWith(root + sep)) return response.writeHead(403).end();
    try {
      const bytes = await readFile(file);
      const type = file.endsWith('.wasm') ? 'application/wasm' : TYPES[extname(file)];
      return response
        .writeHead(200, { 'Content-Type': type ?? 'application/octet-stream' })
        .end(bytes);
    } catch {
      return response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
