/** What the page and the service worker say to each other. */
export type OfflineCommand =
  /** Save every file of this build that is not saved yet. */
  | { readonly type: 'save' }
  /** Say how much is saved. */
  | { readonly type: 'report' }
  /** A newer build that waits may take over now. */
  | { readonly type: 'take-over' };

export type OfflineMessage =
  | { readonly type: 'saved'; readonly saved: number; readonly total: number }
  | { readonly type: 'failed'; readonly message: string };
