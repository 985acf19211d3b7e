// Builds the template of the exported page: src/inference/page/ as one HTML file with script and style inline,
// allowed by hash, and a placeholder for the model. Output: static/generated/export-page.html (not committed).
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join(ROOT, 'src/inference/page');
const LIMIT = 1_000_000; // bytes: the page without its model

const result = await build({
  root: ROOT,
  configFile: false,
  logLevel: 'warn',
  publicDir: false,
  build: {
    write: false,
    target: 'es2023',
    lib: { entry: join(PAGE, 'main.ts'), formats: ['iife'], name: 'terrariumPage' },
  },
});
const [{ output }] = Array.isArray(result) ? result : [result];
const script = output.find((file) => file.type === 'chunk')?.code.trim();
if (!script) throw new Error('The build of the page gave no script.');
if (/<\/script|<!--/i.test(script))
  throw new Error('The page script holds text that would end its own element.');
const style = readFileSync(join(PAGE, 'style.css'), 'utf8').trim();

const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const policy = [
  "default-src 'none'",
  `script-src ${hash(script)}`,
  `style-src ${hash(style)}`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

// Replacements as functions: `$&` in a script must stay what it is. The space around a placeholder goes too,
// because the hash is over everything inside the element.
const page = readFileSync(join(PAGE, 'template.html'), 'utf8')
  .replace('__POLICY__', () => policy)
  .replace(/\s*__STYLE__;?\s*/, () => style)
  .replace(/\s*__SCRIPT__;?\s*/, () => script);
const bytes = Buffer.byteLength(page);
if (bytes > LIMIT) throw new Error(`The page takes ${bytes} bytes; the limit is ${LIMIT}.`);
mkdirSync(join(ROOT, 'static/generated'), { recursive: true });
writeFileSync(join(ROOT, 'static/generated/export-page.html'), page);
console.log(`export page: ${Math.round(bytes / 1024)} KiB without its model`);
