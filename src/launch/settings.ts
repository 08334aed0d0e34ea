/**
 * What to launch and how: options before environment variables before defaults, each with its origin.
 *
 * @module
 */
import { LaunchError } from "../core/errors.ts";
import { availableGpus } from "../core/gpus.ts";
import { MIXED_PRECISIONS, parseBoolean, parseWholeNumber } from "../distributed/environment.ts";
import type { ParsedCommand } from "./arguments.ts";
import { visibleGpus } from "./gpus.ts";
import type { Command } from "./options.ts";
import { RESERVED_VARIABLES } from "./rank_environment.ts";
import { UsageError } from "./usage_error.ts";

/** A value and where it came from. */
export interface Setting<T> {
  readonly value: T;
  readonly source: string;
}

/** Everything `launch` needs to know. */
export interface LaunchSettings {
  readonly numProcesses: Setting<number>;
  readonly cpu: Setting<boolean>;
  /** The GPUs, one for each local rank; empty on the CPU. */
  readonly gpuIds: Setting<readonly string[]>;
  readonly mixedPrecision: Setting<string | undefined>;
  readonly gradientAccumulationSteps: Setting<string | undefined>;
  readonly mainProcessIp: Setting<string>;
  readonly mainProcessPort: Setting<number>;
  readonly variables: Setting<Readonly<Record<string, string>>>;
  readonly quiet: Setting<boolean>;
  readonly script: Setting<string>;
  readonly scriptArguments: Setting<readonly string[]>;
}

/** What the machine says; tests replace it. */
export interface Machine {
  readonly environment: (name: string) => string | undefined;
  readonly gpuCount: number;
}

/** This machine. */
export function localMachine(): Machine {
  return { environment: (name) => Deno.env.get(name), gpuCount: availableGpus() };
}

/** More processes than this on one machine are a slip of the finger. */
const MAX_PROCESSES = 1024;
const DEFAULT_SCRIPT = new URL("../../examples/regression.ts", import.meta.url);

/** Reads one option, then its variable, then gives the default; errors name whichever it was. */
class SettingReader {
  constructor(readonly command: Command, readonly parsed: ParsedCommand, readonly machine: Machine) {}

  text(name: string): Setting<string> | undefined {
    const flag = this.parsed.values.get(name)?.at(-1);
    if (flag !== undefined) return { value: flag, source: `--${name}` };
    return this.variable(name);
  }

  variable(name: string): Setting<string> | undefined {
    const variable = this.command.options.find((option) => option.name === name)?.variable;
    const value = variable === undefined ? undefined : this.machine.environment(variable);
    return variable === undefined || value === undefined || value === "" ? undefined : { value, source: variable };
  }

  switch(name: string): Setting<boolean> {
    if (this.parsed.switches.has(name)) return { value: true, source: `--${name}` };
    const text = this.variable(name);
    if (text === undefined) return { value: false, source: "default" };
    const value = parseBoolean(text.value);
    if (value === undefined) throw new UsageError(`${text.source} must be 1 or 0, got "${text.value}"`);
    return { value, source: text.source };
  }

  wholeNumber(name: string, minimum: number, maximum: number): Setting<number> | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = parseWholeNumber(text.value);
    if (value === undefined || value < minimum || value > maximum) {
      throw new UsageError(
        `${text.source} must be a whole number from ${minimum} to ${maximum}, got "${text.value}"`,
      );
    }
    return { value, source: text.source };
  }
}

function readGpuIds(reader: SettingReader, cpu: Setting<boolean>): Setting<readonly string[]> {
  const chosen = reader.text("gpu-ids");
  if (cpu.value) {
    if (chosen?.source === "--gpu-ids") {
      throw new UsageError("--cpu and --gpu-ids contradict each other: leave one out");
    }
    return { value: [], source: cpu.source };
  }
  const { gpuCount, environment } = reader.machine;
  if (chosen !== undefined && chosen.value !== "all") {
    const ids = chosen.value.split(",").map((id) => id.trim());
    const wrong = ids.find((id) => parseWholeNumber(id) === undefined);
    if (wrong !== undefined) {
      throw new UsageError(`${chosen.source} must be GPU numbers with commas between them, got "${chosen.value}"`);
    }
    if (new Set(ids).size < ids.length) {
      throw new UsageError(`${chosen.source} must name each GPU once, got "${chosen.value}"`);
    }
    const missing = ids.find((id) => Number(id) >= gpuCount);
    if (missing !== undefined) {
      throw new LaunchError(
        `Cannot use GPU ${missing}, as ${chosen.source} says: this machine has ${gpuCount} NVIDIA GPUs, numbered from 0`,
      );
    }
    return { value: ids, source: chosen.source };
  }
  const visible = environment("CUDA_VISIBLE_DEVICES");
  const source = visible === undefined ? "found" : "CUDA_VISIBLE_DEVICES";
  return { value: visibleGpus(gpuCount, visible), source };
}

function readMixedPrecision(reader: SettingReader): Setting<string | undefined> {
  const text = reader.text("mixed-precision");
  if (text === undefined) return { value: undefined, source: "the script decides" };
  if (!MIXED_PRECISIONS.some((name) => name === text.value)) {
    throw new UsageError(`${text.source} must be one of ${MIXED_PRECISIONS.join(", ")}, got "${text.value}"`);
  }
  return text;
}

function readVariables(parsed: ParsedCommand): Setting<Readonly<Record<string, string>>> {
  const assignments = parsed.values.get("env") ?? [];
  const variables: Record<string, string> = {};
  for (const assignment of assignments) {
    const match = assignment.match(/^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s);
    if (match === null) throw new UsageError(`--env must be KEY=VALUE, got "${assignment}"`);
    const [, name, value] = match;
    if (RESERVED_VARIABLES.includes(name)) {
      throw new UsageError(`--env cannot set ${name}: the launcher gives every process its own`);
    }
    variables[name] = value;
  }
  return { value: variables, source: assignments.length === 0 ? "default" : "--env" };
}

function checkSingleMachine(reader: SettingReader): void {
  const machines = reader.wholeNumber("num-machines", 1, Number.MAX_SAFE_INTEGER)?.value ?? 1;
  const rank = reader.wholeNumber("machine-rank", 0, Number.MAX_SAFE_INTEGER)?.value ?? 0;
  if (machines > 1 || rank > 0) {
    throw new LaunchError(
      "Launching on several machines is not available yet: leave --num-machines and --machine-rank out to use this one",
    );
  }
}

/**
 * Decides every setting.
 *
 * @param command The `launch` command, whose options name their variables.
 * @param parsed The command line.
 * @param machine Environment and GPUs.
 * @throws {UsageError} When an option or a variable has a value that it cannot have.
 * @throws {LaunchError} When this machine cannot do what is asked.
 */
export function readSettings(command: Command, parsed: ParsedCommand, machine: Machine): LaunchSettings {
  const reader = new SettingReader(command, parsed, machine);
  checkSingleMachine(reader);
  const asked = reader.switch("cpu");
  const gpuIds = readGpuIds(reader, asked);
  const gpuCount = gpuIds.value.length;
  const cpu = asked.value || gpuCount > 0 ? asked : { value: true, source: "no GPU found" };

  const askedProcesses = reader.wholeNumber("num-processes", 1, MAX_PROCESSES);
  const found = gpuCount > 0 ? `${gpuCount} GPUs` : "one process on the CPU";
  const numProcesses = askedProcesses ?? { value: Math.max(1, gpuCount), source: found };
  const mayShare = machine.environment("ACCELERATE_SHARE_GPU") === "1";
  if (!cpu.value && numProcesses.value > gpuCount && !mayShare) {
    throw new LaunchError(
      `Cannot start ${numProcesses.value} processes on ${gpuCount} ${gpuCount === 1 ? "GPU" : "GPUs"}: ` +
        `every process needs its own. Lower --num-processes, add --cpu, or set ACCELERATE_SHARE_GPU=1 to let processes share one`,
    );
  }
  const steps = reader.wholeNumber("gradient-accumulation-steps", 1, Number.MAX_SAFE_INTEGER);
  return {
    numProcesses,
    cpu,
    gpuIds,
    mixedPrecision: readMixedPrecision(reader),
    gradientAccumulationSteps: steps === undefined
      ? { value: undefined, source: "the script decides" }
      : { value: String(steps.value), source: steps.source },
    mainProcessIp: reader.text("main-process-ip") ?? { value: "127.0.0.1", source: "default" },
    mainProcessPort: reader.wholeNumber("main-process-port", 0, 65535) ?? { value: 0, source: "default" },
    variables: readVariables(parsed),
    quiet: reader.switch("quiet"),
    script: parsed.script === undefined
      ? { value: DEFAULT_SCRIPT.href, source: "default" }
      : { value: parsed.script, source: "command line" },
    scriptArguments: {
      value: parsed.scriptArguments,
      source: parsed.scriptArguments.length === 0 ? "default" : "command line",
    },
  };
}

/** The text of `--print-config`: one line a setting, with its value and its origin. */
export function describeSettings(settings: LaunchSettings): string {
  const rows = Object.entries(settings).map(([name, { value, source }]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    value === undefined ? "-" : JSON.stringify(value),
    source,
  ]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map(([name, value, source]) => `${name.padEnd(widths[0])}  ${value.padEnd(widths[1])}  ${source}\n`)
    .join("");
}
