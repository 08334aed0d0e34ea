/**
 * Programs on an emulated GPU whose size, number or settings a test chooses, in processes of their own.
 *
 * @module
 */
const ROOT = new URL("../../", import.meta.url).pathname;

/** The library of the emulated GPU: the one that the environment names, or what `kernels/build.ts emulated` has built. */
function findEmulated(): string | undefined {
  const named = Deno.env.get("ACCELERATE_CUDA_LIBRARY");
  const path = named?.includes("emulated") ? named : `${ROOT}build/emulated/libaccelerate_cuda.so`;
  try {
    return Deno.statSync(path).isFile ? path : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const library = findEmulated();

/** A test that needs the library of the emulated GPU, and says so where there is none. */
export function emulatedTest(name: string, fn: () => Promise<void>): void {
  const reason = library === undefined ? " (skipped: build/emulated holds no library of an emulated GPU)" : "";
  Deno.test({ name: `${name}${reason}`, ignore: library === undefined, fn });
}

/** Runs TypeScript on an emulated GPU and returns what it printed; `mod` in the text stands for the URL of mod.ts. */
export async function runEmulated(text: string, env: Record<string, string> = {}): Promise<string> {
  return await runEmulatedProcess(["eval", "--ext=ts", text.replaceAll("$mod", `${ROOT}mod.ts`)], env);
}

/** Runs `cli.ts launch` with GPUs that are emulated. */
export async function launchEmulated(args: string[], env: Record<string, string> = {}): Promise<string> {
  return await runEmulatedProcess(["run", "--quiet", "-A", `${ROOT}cli.ts`, "launch", ...args], env);
}

/** What `cli.ts env` prints. */
export async function describeEmulated(env: Record<string, string>): Promise<string> {
  return await runEmulatedProcess(["run", "--quiet", "-A", `${ROOT}cli.ts`, "env"], env);
}

async function runEmulatedProcess(args: string[], env: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1", ACCELERATE_CUDA_LIBRARY: library!, ...env },
  }).output();
  const [printed, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (code !== 0) throw new Error(`the program ended with ${code}:\n${printed}\n${errors}`);
  return printed;
}
