/** What a colour token is in the theme on screen: a canvas cannot read CSS variables. */
export function resolveColour(element: HTMLElement, colour: string): string {
  const before = element.style.color;
  element.style.color = colour;
  const found = getComputedStyle(element).color;
  element.style.color = before;
  return found;
}
