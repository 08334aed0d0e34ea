/**
 * Which exported operations no row of the table covers.
 *
 * @module
 */
import * as mod from "../../../mod.ts";
import { binaryOps } from "../../../src/ops/binary.ts";
import { unaryOps } from "../../../src/ops/unary.ts";
import { seenOps } from "./check.ts";
import { coversOf, type Row } from "./row.ts";

/** Public names that are no operations, each with its reason. */
const NOT_OPERATIONS: Readonly<Record<string, string>> = {
  "Tensor.constructor": "makes no operation",
  "Tensor.requiresGrad_": "sets a flag: tests/autograd/",
  "Tensor.backward": "runs operations: every gradient of the table",
  "Tensor.retainGrad": "autograd: tests/autograd/",
  "Tensor.registerHook": "autograd: tests/autograd/",
  "Tensor.record": "autograd",
  "Tensor.item": "reads: tests/format_test.ts and most others",
  "Tensor.data": "reads: every comparison of the table",
  "Tensor.toArray": "reads",
  "Tensor.toString": "prints: tests/format_test.ts",
  "Tensor.allClose": "gives a boolean",
  "Tensor.equal": "gives a boolean: tests/ops/host_values_test.ts",
  "Tensor.checkLive": "throws or does nothing",
  "Tensor.releaseAt": "lifetime",
  "Tensor.rebind": "lifetime of parameters",
  "Tensor.become": "lifetime of parameters",
  "Tensor.refreshHistory": "autograd",
  "Tensor.keep": "lifetime",
  "Tensor.dispose": "lifetime",
  "device": "finds a device",
  "defaultDevice": "finds a device: tests/ops/default_device_test.ts",
  "setDefaultDevice": "chooses a device: tests/ops/default_device_test.ts",
  "devices": "lists devices",
  "autocast": "calls a function: tests/amp/autocast_test.ts",
  "autocastDType": "tells a setting: tests/amp/autocast_test.ts",
  "getFloat32MatmulPrecision": "tells a setting: tests/ops/matmul_precision_test.ts",
  "setFloat32MatmulPrecision": "changes a setting: tests/ops/matmul_precision_test.ts",
  "manualSeed": "sets a seed",
  "setSeed": "sets a seed: tests/accelerator/between_ranks_test.ts",
  "findExecutableBatchSize": "calls a function: tests/accelerator/batch_size_test.ts",
  "launch": "starts processes: tests/accelerator/launch_test.ts",
  "memoryStats": "statistics",
  "noGrad": "calls a function",
  "enableGrad": "calls a function",
  "scope": "lifetime",
  "tidy": "lifetime",
  "tensor": "makes the inputs of every row",
  "uniformInto": "fills parameters: tests/nn/module_test.ts",
  "normalInto": "fills parameters: tests/nn/init_test.ts",
};

function methodsOfTensor(): string[] {
  const names: string[] = [];
  for (let proto = mod.Tensor.prototype; proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
      if (typeof value === "function") names.push(`Tensor.${name}`);
    }
  }
  return names;
}

function functionsOf(module: object, prefix: string): string[] {
  const isFunction = ([name, value]: [string, unknown]): boolean => typeof value === "function" && /^[a-z]/.test(name);
  return Object.entries(module).filter(isFunction).map(([name]) => prefix + name);
}

/** Names of the op objects in src/ops/ that are written out, as opposed to made by a function. */
function namesInSource(): string[] {
  const folder = new URL("../../../src/ops/", import.meta.url);
  const names: string[] = [];
  for (const { name } of Deno.readDirSync(folder)) {
    const text = Deno.readTextFileSync(new URL(name, folder));
    for (const match of text.matchAll(/: Op<.*> = \{\s*name: "([^"]+)",/g)) names.push(match[1]);
  }
  if (names.length < 10) throw new Error(`only ${names.length} operations found in src/ops/: the pattern is wrong`);
  return names;
}

/** Names of operations that need a row. Call it after the rows have run: an operation also counts when a graph held it. */
export function uncovered(rows: readonly Row[]): string[] {
  const covered = new Set(rows.flatMap(coversOf));
  const missing = new Set<string>();
  const exported = [
    ...methodsOfTensor(),
    ...functionsOf(mod.nn.functional, "functional."),
    ...functionsOf(mod, ""),
  ];
  for (const name of exported) {
    if (!covered.has(name) && NOT_OPERATIONS[name] === undefined) missing.add(name);
  }
  const known = new Set(exported);
  for (const name of covered) {
    if (!name.startsWith("op:") && !known.has(name)) missing.add(`${name}, which a row covers but nothing exports`);
  }
  for (const [name, op] of Object.entries({ ...unaryOps, ...binaryOps })) {
    if (!seenOps.has(op) && !covered.has(`op:${name}`)) missing.add(`op:${name}`);
  }
  const seenNames = new Set([...seenOps].map((op) => op.name));
  const shortNames = new Set([...covered].map((name) => name.replace(/^.*[.:]/, "")));
  for (const name of namesInSource()) {
    if (!seenNames.has(name) && !shortNames.has(name)) missing.add(`op:${name}`);
  }
  return [...missing].sort();
}
