/**
 * From the words of a command line to the options of a command.
 *
 * @module
 */
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

interface Word {
  readonly option: Option | undefined;
  /** What follows the first `=`. */
  readonly value: string | undefined;
}

/** Reads `--name`, `--name=value`, `-l`; underscores stand for dashes. */
function readWord(word: string, command: Command): Word {
  const equals = word.indexOf("=");
  const typed = equals < 0 ? word : word.slice(0, equals);
  const option = command.options.find(({ name, letter }) =>
    typed.replaceAll("_", "-") === `--${name}` || (letter !== undefined && typed === `-${letter}`)
  );
  return { option, value: equals < 0 ? undefined : word.slice(equals + 1) };
}

/** The sentence for a word with dashes that is no option. */
function unknownOption(argument: string, command: Command): UsageError {
  const typed = argument.replace(/^-+/, "").replace(/=.*$/s, "");
  const listed = command.options.filter((option) => option.help !== undefined).map((option) => option.name);
  const nearest = nearestName(typed, listed);
  const advice = nearest === undefined ? `see ${command.name} --help` : `did you mean --${nearest}?`;
  return new UsageError(`Unknown option ${argument.replace(/=.*$/s, "")} of ${command.name}: ${advice}`);
}

/** Whether a word can be the value of the option before it. "-1" looks like an option, but whoever writes it means a number. */
function isValue(word: string | undefined): word is string {
  return word !== undefined && word !== "" && (!word.startsWith("-") || /^-\d/.test(word) || word === "-");
}

/**
 * Parses the arguments of one command. Options end at the script or at `--`.
 *
 * @param command Whose options.
 * @param args What follows the command's name.
 * @throws {UsageError} For an unknown option, or for an option without its value.
 */
export function parseCommand(command: Command, args: readonly string[]): ParsedCommand {
  const switches = new Set<string>();
  const values = new Map<string, string[]>();
  let at = 0;
  while (at < args.length && args[at].startsWith("-") && args[at] !== "-") {
    const word = args[at++];
    if (word === "--") break;
    const { option, value } = readWord(word, command);
    if (option === undefined) throw unknownOption(word, command);
    const { name } = option;
    if (option.value === undefined) {
      if (value === undefined || value === "true") switches.add(name);
      else if (value === "false") switches.delete(name);
      else throw new UsageError(`--${name} takes no value, got "${value}"`);
      continue;
    }
    const given = value ?? args[at];
    if (value === undefined ? !isValue(given) : value === "") {
      throw new UsageError(`--${name} needs a value: --${name} ${option.value}`);
    }
    if (value === undefined) at++;
    const earlier = values.get(name);
    if (earlier === undefined) values.set(name, [given]);
    else earlier.push(given);
  }
  const script = at < args.length ? args[at] : undefined;
  if (script !== undefined && !command.takesScript && !switches.has("help")) {
    throw new UsageError(`${command.name} takes no arguments, got "${script}"`);
  }
  return { switches, values, script, scriptArguments: args.slice(at + 1) };
}
