/**
 * The texts of `--help`.
 *
 * @module
 */
import { type Command, COMMANDS, GLOBAL_OPTIONS, type Option } from "./options.ts";

const INVOCATION = "deno run -A cli.ts";

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}

function optionRow(option: Option): [string, string] {
  const letter = option.letter === undefined ? "" : `-${option.letter}, `;
  const value = option.value === undefined ? "" : ` ${option.value}`;
  const variable = option.variable === undefined ? "" : ` [${option.variable}]`;
  return [`${letter}--${option.name}${value}`, `${option.help}${variable}`];
}

function optionTable(options: readonly Option[]): string {
  return table(options.filter((option) => option.help !== undefined).map(optionRow));
}

/** Help of all commands. */
export function generalHelp(): string {
  return `Train neural networks from TypeScript, on one CPU or on many GPUs.

Usage: ${INVOCATION} <command> [options]

Commands:
${table(COMMANDS.map(({ name, summary }) => [name, summary]))}
Options:
${optionTable(GLOBAL_OPTIONS)}
"<command> --help" tells more. Status: 0 done, 2 wrong usage, otherwise that of the first process that failed.
`;
}

/** Help of one command. */
export function commandHelp(command: Command): string {
  const { name, summary, usage, options, notes } = command;
  return `${summary[0].toUpperCase()}${summary.slice(1)}.

Usage: ${`${INVOCATION} ${name} ${usage}`.trimEnd()}

Options:
${optionTable(options)}${notes === "" ? "" : `\n${notes}\n`}`;
}
