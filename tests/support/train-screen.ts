/** The Train screen, driven as a person would. */
import type { Page } from 'playwright-core';

/** The step that the progress line names; 0 where there is none. */
export async function stepShown(page: Page): Promise<number> {
  const text = (await page.textContent('main')) ?? '';
  return Number(/steps\s*([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
}

/** The step at which the notice says that a run was interrupted; waits for the notice. */
export async function interruptedAt(page: Page): Promise<number> {
  const notice = page.getByText(/was interrupted at step/);
  await notice.waitFor({ timeout: 30_000 });
  const text = (await notice.textContent()) ?? '';
  return Number(/at step ([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', ''));
}

/** Begins a further run with other settings; a value of the list is chosen where the setting is one. */
export async function trainWith(
  page: Page,
  changes: readonly (readonly [label: string, value: string])[],
): Promise<void> {
  const button = (name: string) => page.getByRole('button', { name });
  await button('Change for the next run').click({ timeout: 90_000 });
  const settings = page.getByRole('dialog');
  for (const [label, value] of changes) {
    const list = settings.getByRole('combobox', { name: label, exact: true });
    if ((await list.count()) > 0) await list.selectOption(value);
    else {
      const field = settings.getByLabel(label, { exact: false }).first();
      await field.fill(value);
      await field.press('Tab');
    }
  }
  await button('Done').click();
  await button('Train again').or(button('Train longer')).first().click({ timeout: 90_000 });
}

/** Begins a further run that ends when it is told to and not before, however fast the machine is. */
export async function trainUntilStopped(page: Page): Promise<void> {
  await trainWith(page, [
    ['Epochs', '10000'],
    ['Early stop', '0'],
  ]);
}
