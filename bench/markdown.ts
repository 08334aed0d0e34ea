/**
 * Prints a result file as the Markdown table of docs/performance.md: `deno run -A bench/markdown.ts bench/results/FILE.json`.
 *
 * @module
 */
interface Row {
  what: string;
  unit: string;
  ours: number;
  peer: number;
  ratio: number;
  limitPercent?: number;
}

function amount(value: number, unit: string): string {
  if (unit === "bytes") return `${(value / 1e6).toFixed(0)} MB`;
  return `${Number(value.toPrecision(3))} ${unit}`;
}

const { rows } = JSON.parse(await Deno.readTextFile(Deno.args[0])) as { rows: Row[] };
console.log("| what | ours | peer | ratio | of the limit |\n| --- | --- | --- | --- | --- |");
for (const { what, unit, ours, peer, ratio, limitPercent } of rows) {
  const limit = limitPercent === undefined ? "" : `${limitPercent.toFixed(0)}%`;
  console.log(`| ${what} | ${amount(ours, unit)} | ${amount(peer, unit)} | ${ratio.toFixed(2)}x | ${limit} |`);
}
