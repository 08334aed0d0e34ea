/**
 * What ptxas says of every kernel: registers, spills, stack and shared memory. The table of all sources is committed, so that a change
 * shows in a review; a spill ends the build.
 *
 * @module
 */
import { ROOT } from "./compile.ts";

/** The committed table, relative to the project. */
export const REGISTER_TABLE = "kernels/registers.json";

/** The kernels of one source for one GPU, together: the most that one of them takes. */
interface Resources {
  kernels: number;
  registers: number;
  sharedBytes: number;
  /** Local memory: arrays that are indexed at run time, and the slow paths of some functions of CUDA's library. */
  stackBytes: number;
  spillBytes: number;
}

/** By source, then by GPU. */
export type ResourceTable = Record<string, Record<string, Resources>>;

const KERNEL = /Compiling entry function '(\S+)' for '(sm_\w+)'/;
const FRAME = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/;
const USED = /Used (\d+) registers/;
const SHARED = /(\d+) bytes smem/;

/** The resources in one compilation's messages, by GPU. */
export function parseResources(messages: string): Record<string, Resources> {
  const found: Record<string, Resources> = {};
  let kernel: Resources | undefined;
  for (const line of messages.split("\n")) {
    const started = KERNEL.exec(line);
    if (started !== null) {
      kernel = found[started[2]] ??= { kernels: 0, registers: 0, sharedBytes: 0, stackBytes: 0, spillBytes: 0 };
      kernel.kernels++;
    }
    if (kernel === undefined) continue;
    const frame = FRAME.exec(line);
    if (frame !== null) {
      const [stack, stores, loads] = frame.slice(1).map(Number);
      kernel.stackBytes = Math.max(kernel.stackBytes, stack);
      kernel.spillBytes = Math.max(kernel.spillBytes, stores + loads);
    }
    kernel.registers = Math.max(kernel.registers, Number(USED.exec(line)?.[1] ?? 0));
    kernel.sharedBytes = Math.max(kernel.sharedBytes, Number(SHARED.exec(line)?.[1] ?? 0));
  }
  return found;
}

/** The resources of all objects that nvcc made. */
export async function readResources(objects: string[]): Promise<ResourceTable> {
  const table: ResourceTable = {};
  for (const object of objects.filter((path) => path.endsWith(".cu.o"))) {
    const resources = parseResources(await Deno.readTextFile(`${ROOT}${object}.log`));
    if (Object.keys(resources).length > 0) table[object.slice(object.lastIndexOf("/") + 1, -".o".length)] = resources;
  }
  return table;
}

/** Says which kernels keep registers in memory. */
export function listSpills(table: ResourceTable): string | undefined {
  const spills = Object.entries(table).flatMap(([source, gpus]) =>
    Object.entries(gpus).filter(([, { spillBytes }]) => spillBytes > 0)
      .map(([gpu, { spillBytes }]) => `${source} on ${gpu} (${spillBytes} bytes)`)
  );
  if (spills.length === 0) return undefined;
  return `kernels spill registers: ${spills.join(", ")}. Take a smaller tile, or fewer threads in AX_MAX_THREADS`;
}

/** The text of the table: a line for each source and GPU. */
export function formatResources(table: ResourceTable): string {
  const byName = <T>(record: Record<string, T>): [string, T][] =>
    Object.entries(record).sort(([a], [b]) => a < b ? -1 : 1);
  const sources = byName(table).map(([source, gpus]) => {
    const lines = byName(gpus).map(([gpu, resources]) => `    ${JSON.stringify(gpu)}: ${JSON.stringify(resources)}`);
    return `  ${JSON.stringify(source)}: {\n${lines.join(",\n")}\n  }`;
  });
  return `{\n${sources.join(",\n")}\n}\n`;
}
