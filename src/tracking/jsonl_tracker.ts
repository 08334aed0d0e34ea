/**
 * The tracker that is always there: one JSON object a line, for `jq`, spreadsheets and whatever reads text.
 *
 * @module
 */
import type { TrackedValue, TrackedValues, Tracker, TrackerContext } from "./tracker.ts";

/** JSON has no word for these numbers; Python and JavaScript read the texts back. */
function printable(value: TrackedValue): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (Array.isArray(value)) return value.map(printable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, printable(item)]));
}

/**
 * Writes `<loggingDir>/<project>/metrics.jsonl`. The first line of a run is `{"project", "time", "config"}`, each other one
 * `{"step", "time", "values"}`; a run that goes on appends.
 */
export class JsonlTracker implements Tracker {
  readonly name = "jsonl";
  readonly requiresLoggingDirectory = true;
  #file: Deno.FsFile | undefined;
  #project = "";
  #step = 0;

  /** The path of the file, once it has started. */
  path: string | undefined;

  start({ project, loggingDir }: TrackerContext): void {
    const folder = `${loggingDir}/${project}`;
    Deno.mkdirSync(folder, { recursive: true });
    this.path = `${folder}/metrics.jsonl`;
    this.#project = project;
    this.#file = Deno.openSync(this.path, { append: true, create: true });
  }

  #write(line: Record<string, unknown>): void {
    // One write for each line, so that a reader never sees half of one.
    let bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    while (bytes.length > 0) bytes = bytes.subarray(this.#file!.writeSync(bytes));
  }

  storeInitConfiguration(config: TrackedValues): void {
    this.#write({ project: this.#project, time: new Date().toISOString(), config: printable(config) });
  }

  log(values: TrackedValues, step: number | undefined): void {
    this.#step = step ?? this.#step;
    this.#write({ step: this.#step, time: new Date().toISOString(), values: printable(values) });
    this.#step++;
  }

  finish(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}
