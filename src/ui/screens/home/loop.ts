/** The one calm loop of motion on Home: a turn every few seconds, none while the tab is hidden. */
export function everyTurn(milliseconds: number, turn: () => void): () => void {
  const timer = setInterval(() => {
    if (!document.hidden) turn();
  }, milliseconds);
  return () => clearInterval(timer);
}

export function stillPlease(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}
