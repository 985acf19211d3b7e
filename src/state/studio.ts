/** The services as the state classes see them: what `services/studio.ts` offers, without its private parts. */
import type { Studio as StudioService } from '../services/studio';

export type Studio = Pick<StudioService, keyof StudioService>;

/** Loads the services, and with them everything that makes workers. */
export async function loadStudio(): Promise<Studio> {
  const { openStudio } = await import('../services/studio');
  return openStudio();
}
