/**
 * The `env` command: what a bug report needs.
 *
 * @module
 */
import configuration from "../../deno.json" with { type: "json" };
import { check } from "../../ffi/call.ts";
import { LibraryError } from "../../ffi/errors.ts";
import { cudaLibrary, readCString } from "../../ffi/library.ts";
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

/** What the CUDA library says about driver, GPUs and the libraries that it can use. */
function describeCuda(): [string, string][] {
  let text: string;
  try {
    const library = cudaLibrary();
    const bytes = new Uint8Array(8192);
    check(library.ax_library_describe(bytes, bytes.length), "ax_library_describe", library);
    text = readCString(bytes);
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    return [["NVIDIA driver", `unknown: the CUDA library, which looks for it, cannot be loaded (${error.message})`]];
  }
  const found = new Map<string, string[]>();
  for (const line of text.trimEnd().split("\n")) {
    const at = line.indexOf("=");
    const key = line.slice(0, at);
    found.set(key, [...found.get(key) ?? [], line.slice(at + 1)]);
  }
  const driver = Number(found.get("driver")?.[0] ?? 0);
  const version = `CUDA ${Math.floor(driver / 1000)}.${Math.floor(driver % 1000 / 10)}`;
  const problem = found.get("devices")?.[0];
  const gpus = found.get("device") ?? [];
  return [
    [
      "NVIDIA driver",
      driver === 0
        ? "missing: libcuda.so.1 is not on the loader's path. GPUs need NVIDIA's driver of version 580 or later"
        : problem === undefined
        ? version
        : `${version}, but no GPU can be used: ${problem}`,
    ],
    ...gpus.map((gpu, index): [string, string] => [`GPU ${index}`, gpu]),
    ["NCCL", found.get("nccl")?.[0] ?? "unknown"],
    ["cuBLASLt", found.get("cublaslt")?.[0] ?? "unknown"],
  ];
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
    ...describeCuda(),
    ...describeVariables(),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
