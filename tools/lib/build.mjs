// One name for tools that only need a built studio.
export { ensureBuilt } from './setup.mjs';
