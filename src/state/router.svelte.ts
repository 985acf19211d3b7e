/**
 * Addresses. A hash router, because the studio is static files on any sub-path: what stands behind `#` never
 * reaches a server. A route is a value; `hrefOf` writes it and `parseHash` reads it back.
 */
export const STAGES = [
  'data',
  'goal',
  'model',
  'train',
  'evaluate',
  'compress',
  'versions',
  'try',
] as const;
export type Stage = (typeof STAGES)[number];
const STARTERS = ['penguins', 'digits', 'emoji'] as const;
export type Starter = (typeof STARTERS)[number];
/** Ways to bring pictures of one's own. */
const WAYS = ['pictures', 'camera'] as const;
export type Way = (typeof WAYS)[number];

export type Route =
  | { readonly screen: 'home' }
  | { readonly screen: 'settings' }
  | { readonly screen: 'storage' }
  | { readonly screen: 'job' }
  | { readonly screen: 'drill' }
  | { readonly screen: 'new'; readonly starter: Starter }
  | { readonly screen: 'new'; readonly way: Way }
  | { readonly screen: Stage | 'graph'; readonly projectId: string }
  | { readonly screen: 'unknown' };

function isStage(text: string | undefined): text is Stage {
  return STAGES.some((stage) => stage === text);
}

export function parseHash(hash: string): Route {
  const path = hash.replace(/^#?\/?/, '').replace(/\?.*$/, '');
  const [first, second, third, ...rest] = path.split('/');
  if (rest.length > 0) return { screen: 'unknown' };
  if (!first) return { screen: 'home' };
  if (
    (first === 'settings' || first === 'storage' || first === 'job' || first === 'drill') &&
    !second
  )
    return { screen: first };
  if (first === 'new' && !third) {
    const starter = STARTERS.find((one) => one === second);
    if (starter) return { screen: 'new', starter };
    const way = WAYS.find((one) => one === second);
    if (way) return { screen: 'new', way };
  }
  if (first === 'p' && second) {
    if (!third) return { screen: 'data', projectId: decodeURIComponent(second) };
    if (isStage(third) || third === 'graph')
      return { screen: third, projectId: decodeURIComponent(second) };
  }
  return { screen: 'unknown' };
}

export function hrefOf(route: Route): string {
  if ('projectId' in route) return `#/p/${encodeURIComponent(route.projectId)}/${route.screen}`;
  if (route.screen === 'new') return `#/new/${'way' in route ? route.way : route.starter}`;
  return route.screen === 'home' || route.screen === 'unknown' ? '#/' : `#/${route.screen}`;
}

export class Router {
  #route = $state.raw<Route>(parseHash(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.#route = parseHash(location.hash);
    });
  }

  get route(): Route {
    return this.#route;
  }

  get projectId(): string | null {
    return 'projectId' in this.#route ? this.#route.projectId : null;
  }

  go(route: Route, options: { readonly replace?: boolean } = {}): void {
    if (options.replace) {
      history.replaceState(null, '', hrefOf(route));
      this.#route = route;
    } else {
      location.hash = hrefOf(route);
    }
  }
}
