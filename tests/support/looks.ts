/** What every state of every screen has to stand: axe in both themes, a phone, and text twice as large. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';

const WIDE = { width: 1360, height: 900 };
const PHONE = { width: 390, height: 844 };

export async function axeFindings(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  // Not by addScriptTag: the page's own policy forbids it, as it should.
  await session.send('Runtime.evaluate', { expression: axe.source });
  await session.detach();
  return page.evaluate(async () => {
    const runner = Reflect.get(globalThis, 'axe') as typeof axe;
    const results = await runner.run(document, { resultTypes: ['violations'] });
    return results.violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .map(({ target: at }) => at.join(' '))
          .slice(0, 3)
          .join(' | ')}`,
    );
  });
}

/** In the page: what makes it scroll sideways, and cards or parts of the header that lie on one another. */
export function crowded(): string[] {
  const over = document.documentElement.scrollWidth - innerWidth;
  const found = over > 0 ? [`${over} px too wide`] : [];
  for (const dialog of document.querySelectorAll('[role=dialog]')) {
    const more = dialog.scrollWidth - dialog.clientWidth;
    if (more > 1) found.push(`its dialog is ${more} px too wide`);
  }
  for (const parts of ['.card', 'header > *']) {
    const shown = [...document.querySelectorAll(parts)].filter(
      (part) => part.getBoundingClientRect().width > 0,
    );
    for (const [index, first] of shown.entries()) {
      for (const second of shown.slice(index + 1)) {
        if (first.contains(second)) continue;
        const [a, b] = [first.getBoundingClientRect(), second.getBoundingClientRect()];
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 1) {
          found.push(`“${first.textContent.trim()}” lies on “${second.textContent.trim()}”`);
        }
      }
    }
  }
  return found;
}

/** All of it, for the state that the page is in; what is amiss, with the state's name in front. */
export async function amiss(page: Page, state: string): Promise<string[]> {
  // A page behind another one draws one frame a second.
  await page.bringToFront();
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const size of [WIDE, PHONE]) {
      await page.setViewportSize(size);
      await settled(page);
      const at = `${state}, ${colorScheme}, ${size.width} px`;
      for (const finding of await axeFindings(page)) found.push(`${at}: ${finding}`);
      for (const finding of await page.evaluate(crowded)) found.push(`${at}: ${finding}`);
    }
  }
  for (const size of [PHONE, WIDE]) {
    await page.setViewportSize(size);
    await page.evaluate(() => (document.documentElement.style.fontSize = '200%'));
    await settled(page);
    for (const finding of await page.evaluate(crowded)) {
      found.push(`${state}, text twice as large, ${size.width} px: ${finding}`);
    }
    await page.evaluate(() => (document.documentElement.style.fontSize = ''));
  }
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: 'light' });
  return found;
}

/** Two frames, and whatever moves has come to rest. */
export async function settled(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await frame();
    await frame();
    const moving = document
      .getAnimations()
      .filter(({ effect }) => effect?.getComputedTiming().iterations !== Infinity);
    await Promise.allSettled(moving.map(({ finished }) => finished));
  });
}
