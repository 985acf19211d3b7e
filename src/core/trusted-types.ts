/**
 * Imported first by the page and by every worker. The content policy demands Trusted Types, and `new Worker`
 * (onnxruntime's threads too) and service-worker registration are such sinks: this default policy lets
 * scripts of our own origin pass and nothing else. Markup from strings stays forbidden.
 */
interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): unknown;
}

const scope: { trustedTypes?: PolicyFactory; location: { href: string; origin: string } } =
  globalThis;

scope.trustedTypes?.createPolicy('default', {
  createScriptURL(url) {
    if (new URL(url, scope.location.href).origin === scope.location.origin) return url;
    throw new TypeError(`Scripts from ${url} are not allowed: only the studio's own may run.`);
  },
});
