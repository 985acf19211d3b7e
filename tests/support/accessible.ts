/** What every screen must be, those of failures too: axe finds nothing in either theme, and a telephone need not scroll sideways. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'];

export async function expectAccessible(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page), colorScheme).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: null });
  const before = page.viewportSize();
  await page.setViewportSize({ width: 390, height: 844 });
  const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(tooWide, 'pixels too wide at 390').toBeLessThanOrEqual(0);
  await page.setViewportSize(before ?? { width: 1280, height: 720 });
}

async function violations(page: Page): Promise<unknown> {
  // Colours on their way to others are nobody's choice.
  await page.evaluate(async () => {
    await new Promise(requestAnimationFrame);
    const under = document
      .getAnimations()
      .filter(({ effect }) => effect?.getTiming().iterations === 1);
    await Promise.allSettled(under.map(({ finished }) => finished));
  });
  await page.evaluate(axe.source);
  return page.evaluate(async (rules) => {
    const { run } = (globalThis as unknown as { axe: typeof axe }).axe;
    const found = await run(document, { runOnly: rules });
    return found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
  }, RULES);
}
