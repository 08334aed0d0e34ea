/**
 * The name that somebody meant.
 *
 * @module
 */

/** Names of torchrun and of other launchers for what is called otherwise here. */
const SYNONYMS: Readonly<Record<string, string>> = {
  "nproc-per-node": "num-processes",
  "nproc": "num-processes",
  "np": "num-processes",
  "processes": "num-processes",
  "master-addr": "main-process-ip",
  "master-port": "main-process-port",
  "port": "main-process-port",
  "gpus": "gpu-ids",
  "devices": "gpu-ids",
  "use-cpu": "cpu",
  "no-gpu": "cpu",
  "run": "launch",
  "train": "launch",
  "info": "env",
};

/** Number of letters to insert, delete, replace or swap to get from one word to the other. */
function editDistance(from: string, to: string): number {
  const rows = Array.from({ length: from.length + 1 }, (_, i) => [i, ...new Array<number>(to.length).fill(0)]);
  for (let j = 0; j <= to.length; j++) rows[0][j] = j;
  for (let i = 1; i <= from.length; i++) {
    for (let j = 1; j <= to.length; j++) {
      const replaced = rows[i - 1][j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced);
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (isSwap) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[from.length][to.length];
}

/**
 * The nearest of the names, or `undefined` when none is near.
 *
 * @param typed What the user wrote, without dashes in front.
 * @param names What exists.
 */
export function nearestName(typed: string, names: readonly string[]): string | undefined {
  const word = typed.toLowerCase().replaceAll("_", "-");
  const synonym = Object.hasOwn(SYNONYMS, word) ? SYNONYMS[word] : undefined;
  if (synonym !== undefined && names.includes(synonym)) return synonym;
  const containing = word.length >= 3
    ? names.find((name) => name.startsWith(word) || word.startsWith(name))
    : undefined;
  if (containing !== undefined) return containing;
  const distances = names.map((name) => ({ name, distance: editDistance(word, name) }));
  const nearest = distances.reduce((best, next) => next.distance < best.distance ? next : best, {
    name: "",
    distance: Infinity,
  });
  // Beyond half of the letters a suggestion would only puzzle.
  return nearest.distance <= Math.max(2, Math.floor(word.length / 2)) && nearest.distance < nearest.name.length
    ? nearest.name
    : undefined;
}
