/**
 * Runs the real command line in tests, and waits for events instead of sleeping.
 *
 * @module
 */

/** The command line under test. */
export const CLI: string = new URL("../../cli.ts", import.meta.url).href;

/** Generous: the machine may be busy, and only a broken launcher ever gets here. */
const PATIENCE_MS = 60_000;
const POLL_MS = 20;

/** What a finished command left. */
export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** How to run a command. */
export interface CommandOptions {
  env?: Record<string, string>;
  cwd?: string;
  cli?: string;
  stdin?: string;
}

/** A folder with scripts for the launcher; it is deleted at the end of the block that holds it. */
export class ScriptFolder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "accelerate-test-" });

  constructor(scripts: Record<string, string> = {}) {
    // The launcher looks for the native library before it starts anything; these scripts never load it.
    this.add("libaccelerate_cpu.so", "");
    for (const [name, text] of Object.entries(scripts)) this.add(name, text);
  }

  /** Writes a file and returns its path. */
  add(name: string, text: string): string {
    const path = `${this.path}/${name}`;
    Deno.writeTextFileSync(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

function command(args: string[], folder: ScriptFolder, options: CommandOptions): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", options.cli ?? CLI, ...args],
    cwd: options.cwd ?? folder.path,
    // No GPU and no colours, whatever machine this is.
    env: { NO_COLOR: "1", CUDA_VISIBLE_DEVICES: "", ACCELERATE_LIBRARY_DIR: folder.path, ...options.env },
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
}

/** Runs the command line to its end. */
export async function runCli(
  args: string[],
  folder: ScriptFolder,
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = command(args, folder, options).spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.stdin));
    await writer.close();
  }
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.status]);
  return { code: status.code, stdout, stderr };
}

/** A command line that is still running. */
export class RunningCli implements AsyncDisposable {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  /** Everything printed so far, stdout and stderr as they came. */
  output = "";
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;

  constructor(args: string[], folder: ScriptFolder, options: CommandOptions = {}) {
    this.#child = command(args, folder, options).spawn();
    this.pid = this.#child.pid;
    this.status = this.#child.status;
    this.#reading = Promise.all([this.#read(this.#child.stdout), this.#read(this.#child.stderr)]);
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this.output += text;
  }

  /** The matches of a pattern, as soon as there are `count` of them. */
  async waitForOutput(pattern: RegExp, count = 1): Promise<RegExpExecArray[]> {
    const find = (): RegExpExecArray[] => [...this.output.matchAll(new RegExp(pattern, "g"))];
    await waitUntil(() => find().length >= count, () => `${count} times ${pattern} in the output:\n${this.output}`);
    return find();
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch (error) {
      // It has ended, as it should have.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.status;
    await this.#reading;
  }
}

/** Polls until something outside of this process has happened. */
export async function waitUntil(condition: () => boolean, describe: () => string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${PATIENCE_MS / 1000} s for ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** State letter of a process as in ps(1): R, S, T...; `undefined` when it is gone or only waits to be reaped. */
export function processState(pid: number): string | undefined {
  try {
    const state = Deno.readTextFileSync(`/proc/${pid}/stat`).match(/\) (.)/)?.[1];
    return state === "Z" || state === "X" ? undefined : state;
  } catch (error) {
    // ESRCH comes when the process ends between open and read.
    if (error instanceof Deno.errors.NotFound || String(error).includes("os error 3")) return undefined;
    throw error;
  }
}

/** Resolves when none of the processes runs any more. */
export async function waitUntilGone(pids: readonly number[]): Promise<void> {
  await waitUntil(
    () => pids.every((pid) => processState(pid) === undefined),
    () => `the end of the processes ${pids.filter((pid) => processState(pid) !== undefined).join(", ")}`,
  );
}
