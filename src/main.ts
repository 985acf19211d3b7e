/** Boot only: is this address able to run the studio, keep it for offline, and mount the first screen. */
import './core/trusted-types';
import { startOffline } from './services/offline';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no element #app.');

if (!isSecureContext) {
  // Browsers hide WebGPU, storage and service workers on plain http:// at any name but localhost.
  const { mountInsecure } = await import('./ui/insecure');
  mountInsecure(target);
} else {
  const { mountApp } = await import('./ui/app');
  mountApp(target);
  void startOffline();
  // Jobs drive the studio's own services through this hook; nothing of it loads on any other address.
  if (location.hash === '#/job') {
    (await import('./services/job')).installJobHook();
    (await import('./services/probe')).installProbeHook();
  }
}
