import { PhiloxStream } from '../../src/core/philox';

export interface Clinic {
  readonly csv: string;
  /** Cells of each row as the model should see them: numbers or NaN, texts or ''. */
  readonly rows: readonly {
    readonly age: number;
    readonly dose: number;
    readonly ward: string;
    readonly outcome: string;
    readonly days: number;
  }[];
}

/**
 * A table as offices export them: semicolons, decimal commas, missing cells, a category with few rows, an
 * identifier. `outcome` and `days` follow from age, dose and ward with some noise.
 */
export function clinic(count: number, seed: number): Clinic {
  const stream = new PhiloxStream(seed, 'clinic');
  const wards = ['North', 'South "B"', 'Übersee'];
  const rows = Array.from({ length: count }, () => {
    const age = Math.round(200 + 600 * stream.uniform()) / 10;
    const dose = Math.round(1000 * stream.uniform()) / 100;
    const ward = wards[stream.below(3)] ?? '';
    const score = (age - 50) / 15 + (dose - 5) / 3 + (ward === 'North' ? 1 : 0);
    const noise = 0.3 * stream.normal();
    return {
      age: stream.uniform() < 0.08 ? NaN : age,
      dose,
      ward: stream.uniform() < 0.05 ? '' : ward,
      outcome: score + noise > 0.3 ? 'better' : score + noise > -1 ? 'same' : '=worse',
      days: Math.round(10 * (20 + 5 * score + noise)) / 10,
    };
  });
  const number = (value: number): string =>
    Number.isNaN(value) ? '' : String(value).replace('.', ',');
  const text = (value: string): string =>
    value.includes('"') ? `"${value.replaceAll('"', '""')}"` : value;
  const lines = rows.map((row, i) =>
    [
      `P${1000 + i}`,
      number(row.age),
      number(row.dose),
      text(row.ward),
      row.outcome,
      number(row.days),
    ].join(';'),
  );
  return { csv: ['patient;age;dose;ward;outcome;days', ...lines].join('\r\n'), rows };
}
