import jax from '../node_modules/@jax-js/jax/package.json';

export const JAX_VERSION: string = jax.version;
