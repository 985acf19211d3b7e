/** One project in several tabs. */
export const tabs = {
  title: 'This project in several tabs',
  reading:
    'This project is open for editing in another tab. Here you can look at everything and save files, and you see what changes there.',
  free: 'The other tab has let go of this project. Here you only look at it until you take it over.',
  moved:
    'This project moved to another tab. Here you see what changes there; nothing is written from here.',
  take: 'Take over here',
  takeFree: 'Edit here',
  takeBack: 'Take it back',
  asking: 'Asking the other tab …',
  saving: 'The other tab is saving …',
  unsaved: (what: string) => `Not saved, because the project had moved: ${what}.`,
  keepCopy: 'Keep my changes as a copy',
  putIn: 'Put them in here',
  giveUp: 'Give them up',
  copied: (name: string) => `Your changes are in “${name}”, a project of its own.`,
};
