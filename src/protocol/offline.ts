/** What the page and the service worker say to each other. */
export type OfflineCommand =
  /** Save every file of this build that is not saved yet. */
  | { readonly type: 'save' }
  /** Say how much is saved. `entry` is the address of the page's own script, which tells its build. */
  | { readonly type: 'report'; readonly entry: string }
  /** A newer build that waits may take over now. */
  | { readonly type: 'take-over' };

export type OfflineMessage =
  | { readonly type: 'saved'; readonly saved: number; readonly total: number }
  | { readonly type: 'failed'; readonly message: string };
