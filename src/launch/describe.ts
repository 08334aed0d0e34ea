/**
 * The `env` command: what a bug report needs.
 *
 * @module
 */
import configuration from "../../deno.json" with { type: "json" };
import { findLibrary } from "../../ffi/resolve.ts";
import { ENVIRONMENT } from "../core/env.ts";
import { availableGpus } from "../core/gpus.ts";
import { visibleGpus } from "./gpus.ts";

/** Version of this package. */
export const VERSION: string = configuration.version;

function formatBytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function describeLibrary(backend: "cpu" | "cuda"): string {
  try {
    const path = findLibrary(backend);
    return path === undefined ? "fetched at first use" : `${path} (${formatBytes(Deno.statSync(path).size)})`;
  } catch (error) {
    return `none (${error instanceof Error ? error.message : error})`;
  }
}

function describeGpus(): string {
  const count = availableGpus();
  const variable = Deno.env.get("CUDA_VISIBLE_DEVICES");
  const visible = visibleGpus(count, variable).length;
  return visible === count ? `${count}` : `${visible} of ${count} (CUDA_VISIBLE_DEVICES="${variable}")`;
}

function describeVariables(): [string, string][] {
  return Object.keys(ENVIRONMENT).flatMap((name): [string, string][] => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, name === "ACCELERATE_STORE_SECRET" ? "(set)" : value]];
  });
}

/** The text of the `env` command. */
export function describeEnvironment(): string {
  const { total, available } = Deno.systemMemoryInfo();
  const rows: [string, string][] = [
    ["accelerate", VERSION],
    ["deno", `${Deno.version.deno} (V8 ${Deno.version.v8}, TypeScript ${Deno.version.typescript})`],
    ["platform", `${Deno.build.os}-${Deno.build.arch}, kernel ${Deno.osRelease()}`],
    ["processors", String(navigator.hardwareConcurrency)],
    ["memory", `${formatBytes(total)}, ${formatBytes(available)} available`],
    ["NVIDIA GPUs", describeGpus()],
    ["CPU library", describeLibrary("cpu")],
    ["CUDA library", describeLibrary("cuda")],
    ...describeVariables(),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
