/** Light, dark, or as the system says. The only thing the studio keeps in localStorage: it must be known before paint. */
export type ThemeChoice = 'system' | 'light' | 'dark';
const KEY = 'terrarium.theme';

export class Theme {
  #choice = $state<ThemeChoice>(read());
  #systemDark = $state(false);

  constructor() {
    const query = matchMedia('(prefers-color-scheme: dark)');
    this.#systemDark = query.matches;
    query.addEventListener('change', (event) => {
      this.#systemDark = event.matches;
    });
    this.#apply();
  }

  get choice(): ThemeChoice {
    return this.#choice;
  }

  /** What is on screen now. */
  get shown(): 'light' | 'dark' {
    if (this.#choice !== 'system') return this.#choice;
    return this.#systemDark ? 'dark' : 'light';
  }

  choose(choice: ThemeChoice): void {
    this.#choice = choice;
    this.#apply();
    try {
      if (choice === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch (error) {
      // A browser that forbids storage keeps the choice for this page only.
      console.warn('The theme could not be kept.', error);
    }
  }

  toggle(): void {
    this.choose(this.shown === 'dark' ? 'light' : 'dark');
  }

  #apply(): void {
    const root = document.documentElement;
    if (this.#choice === 'system') delete root.dataset.theme;
    else root.dataset.theme = this.#choice;
  }
}

function read(): ThemeChoice {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch (error) {
    console.warn('The kept theme could not be read.', error);
    return 'system';
  }
}
