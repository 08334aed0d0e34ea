/**
 * Runs compilers, and only where something changed: an object is kept when it was made by the same command from the same texts.
 *
 * @module
 */

/** The project's folder, with a slash at the end. */
export const ROOT: string = new URL("../../", import.meta.url).pathname;

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One compilation. Paths are relative to the project, so that its folder may be moved. */
export interface Job {
  compiler: "g++" | "nvcc";
  args: string[];
  source: string;
  object: string;
}

async function runBoth(command: string, args: string[]): Promise<[string, string]> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) {
    console.error(`${command} ${args.join(" ")}\n${new TextDecoder().decode(stderr)}`);
    Deno.exit(1);
  }
  return [new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)];
}

/** Runs a command in the project's folder and returns what it printed; ends the process when it fails. */
export async function run(command: string, args: string[]): Promise<string> {
  return (await runBoth(command, args))[0];
}

/** The text of a file that may not exist yet. */
async function readIfThere(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
}

/** A hash of the command and of every file of the project that the compiler read, which it lists in `dependencies`. */
async function inputsKey(command: string[], dependencies: string): Promise<string> {
  const paths = dependencies.replace(/^[^:]*:/, "").split(/[\s\\]+/).filter((path) =>
    /^(kernels|tests|build)\//.test(path)
  );
  const hashes = await Promise.all(paths.map(async (path) => {
    const text = await readIfThere(`${ROOT}${path}`);
    return `${path} ${await sha256(new TextEncoder().encode(text))}`;
  }));
  return await sha256(new TextEncoder().encode([...command, ...hashes].join("\n")));
}

/** Compiles unless the object was made by the same command from the same texts. */
async function compileOnce({ compiler, args, source, object }: Job): Promise<void> {
  const command = [...args, "-MMD", "-MF", `${object}.d`, "-c", source, "-o", object];
  const listed = await readIfThere(`${ROOT}${object}.d`);
  const stored = await readIfThere(`${ROOT}${object}.key`);
  if (listed !== "" && stored === await inputsKey([compiler, ...command], listed)) return;
  const [, messages] = await runBoth(compiler, command);
  await Deno.writeTextFile(`${ROOT}${object}.log`, messages);
  const key = await inputsKey([compiler, ...command], await Deno.readTextFile(`${ROOT}${object}.d`));
  await Deno.writeTextFile(`${ROOT}${object}.key`, key);
}

/** Does all jobs, two at a time, and returns their objects. */
export async function compileAll(jobs: Job[]): Promise<string[]> {
  const objects = jobs.map(({ object }) => object);
  const left = [...jobs];
  const work = async (): Promise<void> => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) await compileOnce(job);
  };
  await Promise.all([work(), work()]);
  return objects;
}
