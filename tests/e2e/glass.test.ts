import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';

let studio: Opened | undefined;
afterEach(async () => {
  await studio?.close();
  studio = undefined;
});

describe('the glass', () => {
  it('serves every file, worker scripts too, under the strict policy', async () => {
    studio = await openStudio({ context: { serviceWorkers: 'block' } });
    const { page, url } = studio;
    const policies = await page.evaluate(async (base) => {
      const html = await (await fetch(base)).text();
      const script = /src="([^"]+\.js)"/.exec(html)?.[1] ?? '';
      const answers = await Promise.all(
        ['', script, 'offline.sw.js'].map((path) => fetch(base + path)),
      );
      return answers.map((answer) => [
        answer.status,
        answer.headers.get('content-security-policy'),
        answer.headers.get('cross-origin-embedder-policy'),
      ]);
    }, url);
    for (const [status, policy, embedder] of policies) {
      expect(status).toBe(200);
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("connect-src 'self'");
      expect(policy).not.toContain("'unsafe-eval'");
      expect(policy).toContain("require-trusted-types-for 'script'");
      expect(embedder).toBe('require-corp');
    }
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  });

  it('refuses to call outside, by policy and not merely by name', async () => {
    studio = await openStudio({ context: { serviceWorkers: 'block' } });
    const blocked = await studio.page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          addEventListener('securitypolicyviolation', (event) => {
            resolve(event.effectiveDirective);
          });
          fetch('https://example.invalid/?secret=1').then(
            () => resolve('it went out'),
            () => setTimeout(() => resolve('no violation'), 2000),
          );
        }),
    );
    expect(blocked).toBe('connect-src');
  });

  it('refuses scripts of another origin in the page', async () => {
    studio = await openStudio({ context: { serviceWorkers: 'block' } });
    const message = await studio.page.evaluate(() => {
      try {
        new Worker('https://example.invalid/worker.js');
        return 'it started';
      } catch (error) {
        return String(error);
      }
    });
    expect(message).toContain("only the studio's own may run");
  });

  it('paints its first screen with less than 200 kB of script, its worker too, and no engine', async () => {
    studio = await openStudio({ path: 'index.html', context: { serviceWorkers: 'block' } });
    const { page, context } = studio;
    // The context hears of what workers load, too, which the page's own list of resources leaves out.
    const asked = new Set<string>();
    context.on('request', (request) => asked.add(request.url()));
    await page.reload({ waitUntil: 'networkidle' });
    await page.waitForSelector('h1');
    const addresses = [...asked].filter((address) => address.endsWith('.js'));
    expect(addresses.filter((address) => address.includes('store.worker-'))).toHaveLength(1);
    let bytes = 0;
    for (const address of addresses) {
      const text = await (await fetch(address)).text();
      expect(text, address).not.toMatch(/onnxruntime|InferenceSession/);
      bytes += gzipSync(text).length;
    }
    expect(bytes, addresses.join('\n')).toBeLessThan(200_000);
  });

  it('says on an insecure address what to do, and nothing else', async () => {
    // localhost is always secure, so the page is told otherwise before it starts.
    studio = await openStudio({
      initScript: 'Object.defineProperty(globalThis, "isSecureContext", { value: false });',
    });
    await studio.page.waitForSelector('main');
    expect(await studio.page.textContent('main')).toContain('Ask for the https:// address.');
  });
});
