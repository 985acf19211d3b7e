/** Where menus, lists and hints are drawn: inside the main landmark, so that a screen reader finds them in it. */
export function overlayTarget(): Element {
  return document.getElementById('main') ?? document.body;
}
