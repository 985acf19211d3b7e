// Brings a fresh checkout to the point where the other tools can run: packages installed, dist/ up to date.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Terrarium needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

/** Runs a program in the project's folder; throws with its name when it fails. */
export function runOrThrow(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} failed (${result.status}).`);
}

/** Path of an installed package's command, so that no global tool is needed. */
export function binary(name) {
  return join(ROOT, 'node_modules', '.bin', name);
}

/** Installs exactly what package-lock.json names, unless that is what is there. */
export function ensureInstalled(log = console.log) {
  const stamp = join(ROOT, 'node_modules', '.terrarium-installed');
  const wanted = sha256(readFileSync(join(ROOT, 'package-lock.json')));
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  log('Installing packages …');
  // The build runs under NODE_ENV=production, which would leave out the very tools that build.
  runOrThrow('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], {
    // onnxruntime-node would otherwise try to download CUDA; its CPU binary is inside the package.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL_CUDA: 'skip' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  writeFileSync(stamp, wanted);
}

const SOURCES = [
  'src',
  'workers',
  'static',
  'index.html',
  'vite.config.ts',
  'package-lock.json',
  'tools/lib',
  'tools/build.mjs',
  'tools/export-page.mjs',
];

/** Builds dist/ unless it was built from these very sources. */
export function ensureBuilt(log = console.log) {
  const stamp = join(ROOT, 'dist', '.built-from');
  const wanted = fingerprint();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  log('Building the studio …');
  runOrThrow(process.execPath, ['tools/build.mjs'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

export function markBuilt() {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  writeFileSync(join(ROOT, 'dist', '.built-from'), fingerprint());
}

/** One hash over the contents of everything a build reads. */
function fingerprint() {
  const hash = createHash('sha256');
  const add = (path) => {
    const full = join(ROOT, path);
    if (!existsSync(full)) return;
    if (statSync(full).isDirectory()) {
      // static/generated is itself made by the build.
      if (path === 'static/generated') return;
      for (const name of readdirSync(full).sort()) add(`${path}/${name}`);
    } else {
      hash.update(path).update(readFileSync(full));
    }
  };
  for (const path of SOURCES) add(path);
  return hash.digest('hex');
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
