/** Places the names at the ends of lines so that none covers another: from top to bottom, each at least a line lower. */
export interface EndLabel {
  readonly text: string;
  readonly colour: string;
  readonly left: number;
  readonly top: number;
}

export function placeLabels(labels: readonly EndLabel[], height = 16): readonly EndLabel[] {
  let lowest = -Infinity;
  return [...labels]
    .sort((a, b) => a.top - b.top)
    .map((label) => {
      const top = Math.max(label.top, lowest + height);
      lowest = top;
      return { ...label, top };
    });
}
