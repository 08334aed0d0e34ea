/**
 * Prints the rows of the table of operations as JSON, with the values of their inputs: generate_op_table.py reads them.
 *
 * Usage: deno run -A tests/golden/export_op_table.ts [family...]
 *
 * @module
 */
import { FAMILIES } from "../op_table.ts";
import { casesOf, fingerprintOf, isFloatingRow } from "../_support/op_table/cases.ts";
import { nameOf } from "../_support/op_table/row.ts";

/** A number as JSON holds it, which knows neither infinities nor -0. */
function spelled(value: number): number | string {
  return Object.is(value, -0) ? "-0" : Number.isFinite(value) ? value : String(value);
}

const wanted = Deno.args.length > 0 ? Deno.args : Object.keys(FAMILIES);
const out: Record<string, unknown[]> = {};
for (const family of wanted) {
  const rows = FAMILIES[family];
  if (rows === undefined) throw new Error(`no family "${family}": there are ${Object.keys(FAMILIES).join(", ")}`);
  out[family] = rows.filter((row) => row.skip?.golden === undefined).map((row) => ({
    name: nameOf(row),
    fingerprint: fingerprintOf(row),
    torch: row.torch,
    floating: isFloatingRow(row),
    gradient: row.skip?.gradient === undefined,
    lowPrecision: row.skip?.lowPrecision === undefined,
    dtypes: row.inputs.map((input) => input.dtype ?? null),
    cases: casesOf(row).map((each) => ({
      ...each,
      values: each.values.map((values) => values.map(spelled)),
    })),
  }));
}
console.log(JSON.stringify(out));
