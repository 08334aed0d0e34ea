/**
 * Event files that TensorBoard reads.
 *
 * @module
 */
import { frameRecord, scalarEvent, textEvent, versionEvent } from "./tfrecord.ts";
import type { TrackedValue, TrackedValues, Tracker, TrackerContext } from "./tracker.ts";

let filesMade = 0;

/** Numbers by tag, nested names joined by slashes, and texts. */
function flattened(values: TrackedValues): { scalars: [string, number][]; texts: [string, string][] } {
  const scalars: [string, number][] = [];
  const texts: [string, string][] = [];
  const visit = (value: TrackedValue, tag: string): void => {
    if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
      scalars.push([tag, Number(value)]);
    } else if (typeof value === "string") texts.push([tag, value]);
    else if (value !== null) { for (const [name, item] of Object.entries(value)) visit(item, `${tag}/${name}`); }
  };
  for (const [name, value] of Object.entries(values)) visit(value, name);
  return { scalars, texts };
}

/** Configuration as a Markdown table. */
function tableOf(config: TrackedValues): string {
  const rows = Object.entries(config).map(([name, value]) =>
    `| ${name} | ${typeof value === "object" ? JSON.stringify(value) : String(value)} |`
  );
  return ["| setting | value |", "| --- | --- |", ...rows].join("\n");
}

/** Writes `<loggingDir>/<project>/events.out.tfevents...`: numbers as scalars, texts as texts, the configuration as a table. */
export class TensorBoardTracker implements Tracker {
  readonly name = "tensorboard";
  readonly requiresLoggingDirectory = true;
  #file: Deno.FsFile | undefined;
  #step = 0;

  /** The path of the file, once it has started. */
  path: string | undefined;

  start({ project, loggingDir }: TrackerContext): void {
    const folder = `${loggingDir}/${project}`;
    Deno.mkdirSync(folder, { recursive: true });
    const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, "0");
    this.path = `${folder}/events.out.tfevents.${seconds}.${Deno.hostname()}.${Deno.pid}.${filesMade++}`;
    this.#file = Deno.openSync(this.path, { write: true, createNew: true });
    this.#write(versionEvent(Date.now() / 1000));
  }

  #write(event: Uint8Array<ArrayBuffer>): void {
    let bytes = frameRecord(event);
    while (bytes.length > 0) bytes = bytes.subarray(this.#file!.writeSync(bytes));
  }

  storeInitConfiguration(config: TrackedValues): void {
    if (Object.keys(config).length > 0) this.#write(textEvent(Date.now() / 1000, 0, "config", tableOf(config)));
  }

  log(values: TrackedValues, step: number | undefined): void {
    this.#step = step ?? this.#step;
    const time = Date.now() / 1000;
    const { scalars, texts } = flattened(values);
    if (scalars.length > 0) this.#write(scalarEvent(time, this.#step, scalars));
    for (const [tag, text] of texts) this.#write(textEvent(time, this.#step, tag, text));
    this.#step++;
  }

  finish(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}
