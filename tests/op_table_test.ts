import { checkRow } from "./_support/op_table/check.ts";
import { readGoldens } from "./_support/op_table/golden.ts";
import { nameOf } from "./_support/op_table/row.ts";
import { uncovered } from "./_support/op_table/coverage.ts";
import { FAMILIES } from "./op_table.ts";
import { testDevices } from "./_support/devices.ts";

const DEVICES = testDevices(import.meta.url);

const names = new Set<string>();
for (const [family, rows] of Object.entries(FAMILIES)) {
  const goldens = readGoldens(family);
  for (const row of rows) {
    const name = nameOf(row);
    if (names.has(name)) throw new Error(`two rows of the table of operations are named "${name}"`);
    names.add(name);
    for (const device of DEVICES) {
      Deno.test(`op table, ${family}: ${name} (${device})`, () => checkRow(family, row, goldens[name], device));
    }
  }
}

// Runs last: it knows which operations the rows above have recorded.
Deno.test("every exported operation has a row in the op table", () => {
  const missing = uncovered(Object.values(FAMILIES).flat());
  if (missing.length > 0) throw new Error(missing.map((name) => `No test row for op "${name}"`).join("\n"));
});
