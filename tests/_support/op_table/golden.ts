/**
 * PyTorch's values for the table of operations, as generate_op_table.py writes them.
 *
 * @module
 */
import type { DType } from "../../../mod.ts";

/** PyTorch's largest error in a dtype; null where it refuses the dtype. */
export type Errors = Partial<Record<DType, number | null>>;

/** Float64 values, or an even sample of them. */
export interface GoldenValues {
  readonly values: readonly (number | string)[];
  readonly error: Errors;
}

/** One output. */
export interface GoldenOutput extends GoldenValues {
  readonly shape: readonly number[];
  /** `"run"`: that of the run. */
  readonly dtype: string | Readonly<Record<string, string>>;
}

/** What PyTorch gives for one case. */
export interface GoldenCase {
  readonly error?: string;
  readonly out?: readonly GoldenOutput[];
  readonly grad?: readonly (GoldenValues | null)[];
}

/** What PyTorch gives for a row. */
export interface GoldenRow {
  readonly fingerprint: string;
  readonly cases: Readonly<Record<string, GoldenCase>>;
}

/** The goldens of a family; none when they were never made. */
export function readGoldens(family: string): Record<string, GoldenRow> {
  const path = new URL(`../../golden/op_table/${family}.json`, import.meta.url);
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

/** The dtype of an output in a run. */
export function goldenDType(output: GoldenOutput, run: DType): string {
  if (typeof output.dtype === "string") return output.dtype === "run" ? run : output.dtype;
  return output.dtype[run] ?? run;
}
