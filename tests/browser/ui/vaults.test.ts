/** Doors that shut by themselves: who counts as being there, and what is left of the project on the page. */
import { describe, expect, test, vi } from 'vitest';
import type { VaultInfo } from '../../../src/protocol/vault';
import { strengthOf } from '../../../src/state/passphrase';
import type { Studio } from '../../../src/state/studio';
import { Vaults } from '../../../src/state/vaults.svelte';

const MINUTE = 60_000;

function page(trains = false) {
  let open = true;
  let now = 1_000_000;
  const vault = (): VaultInfo => ({
    projectId: 'p1',
    label: 'Locked project',
    createdAt: 0,
    idleMinutes: 15,
    bytes: 1,
    open,
    empty: open ? false : null,
    damaged: [],
  });
  const told: string[] = [];
  const studio: Studio = Object.assign(Object.create(null), {
    store: { listVaults: async () => Promise.resolve([vault()]) },
    leaveRun: async () => Promise.resolve(told.push('run ended')),
    lockVault: async () => {
      open = false;
      told.push('key forgotten');
      return Promise.resolve();
    },
  });
  const vaults = new Vaults(
    () => Promise.resolve(studio),
    {
      trains: () => trains,
      busy: () => trains,
      leave: async () => void (await Promise.resolve(told.push('project left'))),
      changed: () => Promise.resolve(),
    },
    () => now,
  );
  return {
    vaults,
    told,
    after: (minutes: number) => (now += minutes * MINUTE),
  };
}

describe('a locked project that is open', () => {
  test('shuts after its idle minutes, the project first and then the key', async () => {
    const { vaults, told, after } = page();
    await vaults.load();
    after(14);
    vaults.look();
    expect(vaults.isOpen('p1')).toBe(true);
    after(2);
    vaults.look();
    await vi.waitFor(() => expect(vaults.isOpen('p1')).toBe(false));
    expect(told).toEqual(['project left', 'key forgotten']);
  });

  test('stays open while somebody touches anything', async () => {
    const { vaults, told, after } = page();
    await vaults.load();
    for (let touch = 0; touch < 5; touch++) {
      after(10);
      dispatchEvent(new KeyboardEvent('keydown', { key: 'a' }));
      vaults.look();
    }
    expect(vaults.isOpen('p1')).toBe(true);
    expect(told).toEqual([]);
  });

  test('stays open while it trains, and is shut when that is asked: its run is saved first', async () => {
    const { vaults, told, after } = page(true);
    await vaults.load();
    after(60);
    vaults.look();
    expect(vaults.isOpen('p1')).toBe(true);
    await vaults.lock('p1');
    expect(vaults.isOpen('p1')).toBe(false);
    expect(told).toEqual(['run ended', 'project left', 'key forgotten']);
  });
});

describe('a passphrase in plain words', () => {
  test.each([
    ['', 'none'],
    ['Tr0ub4d&', 'weak'],
    ['aaaaaaaaaaaaaaaaaaaaaaaa', 'weak'],
    ['quiet otter', 'fair'],
    ['quiet otters swim', 'good'],
    ['seven quiet otters swim', 'strong'],
  ])('%s: %s', (passphrase, strength) => {
    expect(strengthOf(passphrase)).toBe(strength);
  });
});
