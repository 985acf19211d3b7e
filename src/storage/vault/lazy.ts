/** Ciphers and what a person does with locks come when somebody does it, not with the first screen. */
import type { VaultStoreApi } from '../../protocol/vault';
import type { Vaults } from './vaults';

export function lazyVaultMethods(vaults: Vaults): VaultStoreApi {
  const methods = async () => (await import('./methods')).vaultMethods(vaults);
  return {
    async listVaults() {
      return Promise.all((await vaults.rows()).map((row) => vaults.info(row)));
    },
    createVault: async (...args) => (await methods()).createVault(...args),
    lockProject: async (...args) => (await methods()).lockProject(...args),
    unlockVault: async (...args) => (await methods()).unlockVault(...args),
    closeVault: async (...args) => (await methods()).closeVault(...args),
    changePassphrase: async (...args) => (await methods()).changePassphrase(...args),
    renewRecoveryKey: async (...args) => (await methods()).renewRecoveryKey(...args),
    editVault: async (...args) => (await methods()).editVault(...args),
    removeLock: async (...args) => (await methods()).removeLock(...args),
    eraseVault: async (...args) => (await methods()).eraseVault(...args),
  };
}
