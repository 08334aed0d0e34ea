/**
 * From the words of a command line to the options of a command.
 *
 * @module
 */
// @ts-types="./parse_args.d.ts"
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import type { Command, Option } from "./options.ts";
import { nearestName } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";

/** What a command line says. */
export interface ParsedCommand {
  /** Switches that are on. */
  readonly switches: ReadonlySet<string>;
  /** Values of the options that were given, the last one last. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** The script; `undefined` when there is none. */
  readonly script: string | undefined;
  /** Everything after the script, untouched. */
  readonly scriptArguments: readonly string[];
}

function aliases(option: Option): string[] {
  const underscored = option.name.replaceAll("-", "_");
  const names = underscored === option.name ? [] : [underscored];
  return option.letter === undefined ? names : [...names, option.letter];
}

/** The sentence for a word with dashes that is no option. */
function unknownOption(argument: string, command: Command): UsageError {
  const typed = argument.replace(/^-+/, "").replace(/=.*$/s, "");
  const listed = command.options.filter((option) => option.help !== undefined).map((option) => option.name);
  const nearest = nearestName(typed, listed);
  const advice = nearest === undefined ? `see ${command.name} --help` : `did you mean --${nearest}?`;
  return new UsageError(`Unknown option ${argument.replace(/=.*$/s, "")} of ${command.name}: ${advice}`);
}

function checkSwitches(args: readonly string[], switches: readonly Option[]): void {
  for (const argument of args) {
    const match = argument.match(/^--([^=]+)=(.*)$/s);
    const name = match?.[1].replaceAll("_", "-");
    if (match && switches.some((option) => option.name === name) && match[2] !== "true" && match[2] !== "false") {
      throw new UsageError(`--${name} takes no value, got "${match[2]}"`);
    }
  }
}

/**
 * Parses the arguments of one command. Options end at the script or at `--`.
 *
 * @param command Whose options.
 * @param args What follows the command's name.
 * @throws {UsageError} For an unknown option, or for an option without its value.
 */
export function parseCommand(command: Command, args: readonly string[]): ParsedCommand {
  const valued = command.options.filter((option) => option.value !== undefined);
  const switches = command.options.filter((option) => option.value === undefined);
  const unknown: string[] = [];
  const parsed = parseArgs(args, {
    boolean: switches.map((option) => option.name),
    string: ["_", ...valued.map((option) => option.name)],
    // All are collected, so that an option that is given twice can be told from a list.
    collect: valued.map((option) => option.name),
    alias: Object.fromEntries(command.options.map((option) => [option.name, aliases(option)])),
    stopEarly: true,
    "--": true,
    unknown: (argument, key) => {
      if (key !== undefined) unknown.push(argument);
      return key === undefined;
    },
  });

  // parseArgs takes the first "--" out wherever it stands. The script's own arguments are therefore cut from the original.
  const positional = parsed._.map(String);
  const afterDashes = args.includes("--") ? 1 + (parsed["--"] ?? []).length : 0;
  const rest = args.slice(args.length - positional.length - afterDashes);
  const [script, ...scriptArguments] = positional.length === 0 ? rest.slice(1) : rest;
  const own = args.slice(0, args.length - rest.length);

  checkSwitches(own, switches);
  const values = new Map<string, readonly string[]>();
  for (const { name, value } of valued) {
    const given = (parsed[name] as string[] | undefined) ?? [];
    if (given.length === 0) continue;
    const position = own.findLastIndex((word) => word.replaceAll("_", "-") === `--${name}`);
    const next = own[position + 1] ?? "";
    // "-1" is an option to parseArgs, but whoever writes it after --num-processes means a value.
    const negative = position >= 0 && given.at(-1) === "" && /^-\d/.test(next) ? next : undefined;
    if (negative !== undefined) unknown.splice(unknown.indexOf(negative), 1);
    const complete = negative === undefined ? given : [...given.slice(0, -1), negative];
    if (complete.includes("")) throw new UsageError(`--${name} needs a value: --${name} ${value}`);
    values.set(name, complete);
  }
  if (unknown.length > 0) throw unknownOption(unknown[0], command);
  const on = switches.filter((option) => parsed[option.name] === true).map((option) => option.name);
  if (script !== undefined && !command.takesScript && !on.includes("help")) {
    throw new UsageError(`${command.name} takes no arguments, got "${script}"`);
  }
  return { switches: new Set(on), values, script, scriptArguments };
}
