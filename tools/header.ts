/**
 * Reads kernels/include/accelerate.h and the operation lists of kernels/common/math.h. The grammar is closed on purpose:
 * what these functions do not understand is an error, so that nothing of the ABI can be left out silently.
 *
 * @module
 */

/** How a function of accelerate.h is tagged: plain, instruction-set dependent, or run by Deno on another thread. */
export type HeaderTag = "api" | "op" | "nonblocking";

/** One parameter of a function of accelerate.h. */
export interface HeaderParameter {
  name: string;
  /** The C type, spelled as in the closed set, for example `const void*`. */
  type: string;
}

/** One function that the native libraries export. */
export interface HeaderFunction {
  name: string;
  tag: HeaderTag;
  /** The comment above the declaration, its lines joined by newlines, without slashes. */
  doc: string;
  parameters: HeaderParameter[];
}

/** The families of operations that are numbered by a list in math.h. */
export type OpFamily = "unary" | "binary" | "compare" | "reduce";

/** The C types that may cross the ABI. */
export const PARAMETER_TYPES: readonly string[] = [
  "int32_t",
  "uint32_t",
  "int64_t",
  "uint64_t",
  "float",
  "double",
  "void*",
  "const void*",
  "const char*",
];

/** Deno panics when a call with thirty integer parameters becomes hot; the ABI stays far away from that. */
export const MAX_PARAMETERS = 16;

const TAGS: Record<string, HeaderTag> = { AX_API: "api", AX_OP: "op", AX_NONBLOCKING: "nonblocking" };

/**
 * Parses every exported function of accelerate.h, in order.
 *
 * @param text The text of accelerate.h.
 * @returns The functions with their tags, comments and parameters.
 * @throws {SyntaxError} At the first line that is not a comment, preprocessor directive, enum or known declaration.
 */
export function parseHeader(text: string): HeaderFunction[] {
  const lines = text.split("\n");
  const functions: HeaderFunction[] = [];
  let doc: string[] = [];
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index].trim();
    const start = index;
    if (line.startsWith("//")) {
      doc.push(line.replace(/^\/\/ ?/, ""));
      continue;
    }
    if (line.startsWith("#")) {
      while (lines[index].trimEnd().endsWith("\\")) index++;
    } else if (line.startsWith("enum {")) {
      while (!withoutComment(lines[index]).trimEnd().endsWith("};")) {
        if (++index === lines.length) fail(start, "An enum does not end");
      }
    } else if (line !== "") {
      let declaration = withoutComment(lines[index]);
      while (!declaration.trimEnd().endsWith(";")) {
        if (++index === lines.length) fail(start, "A declaration does not end");
        declaration += " " + withoutComment(lines[index]);
      }
      functions.push(parseDeclaration(declaration, doc.join("\n"), start));
    }
    doc = [];
  }
  const seen = new Set<string>();
  for (const { name } of functions) {
    if (seen.has(name)) throw new SyntaxError(`accelerate.h declares ${name} twice`);
    seen.add(name);
  }
  if (functions.length === 0) throw new SyntaxError("accelerate.h declares no function");
  return functions;
}

/**
 * Parses the operation lists `AX_UNARY_OPS`, `AX_BINARY_OPS`, `AX_COMPARE_OPS` and `AX_REDUCE_OPS`. The position of a name
 * in its list is the operation's id.
 *
 * @param mathText The text of math.h.
 * @returns The names of each family, in the order of their ids.
 * @throws {SyntaxError} When a list is missing, repeats a name, or holds anything but entries and other lists.
 */
export function parseOpLists(mathText: string): Record<OpFamily, string[]> {
  const macros = new Map<string, string>();
  const joined = mathText.replace(/\\\r?\n/g, " ");
  for (const [, name, body] of joined.matchAll(/^#define (AX_[A-Z_]+_OPS)\(X\) (.*)$/gm)) macros.set(name, body);
  return {
    unary: expandList(macros, "AX_UNARY_OPS"),
    binary: expandList(macros, "AX_BINARY_OPS"),
    compare: expandList(macros, "AX_COMPARE_OPS"),
    reduce: expandList(macros, "AX_REDUCE_OPS"),
  };
}

function parseDeclaration(declaration: string, doc: string, line: number): HeaderFunction {
  const source = declaration.replace(/\s+/g, " ").trim();
  const match = /^([A-Z_]+) int32_t (ax_[a-z0-9_]+)\(([^()]*)\);$/.exec(source);
  if (match === null || TAGS[match[1]] === undefined) fail(line, `Cannot parse the declaration "${source}"`);
  const [, tag, name, list] = match;
  const parameters = list.trim() === "void" ? [] : list.split(",").map((item) => parseParameter(item, name, line));
  if (parameters.length > MAX_PARAMETERS) {
    fail(line, `${name} has ${parameters.length} parameters, at most ${MAX_PARAMETERS} are allowed`);
  }
  if (new Set(parameters.map((parameter) => parameter.name)).size !== parameters.length) {
    fail(line, `${name} names two parameters alike`);
  }
  if (doc === "") fail(line, `${name} has no comment`);
  return { name, tag: TAGS[tag], doc, parameters };
}

function parseParameter(text: string, owner: string, line: number): HeaderParameter {
  const match = /^((?:const )?[a-z0-9_]+ ?\*?) ?([a-z][a-z0-9_]*)$/.exec(text.trim());
  const type = match?.[1].replace(/ ?\*$/, "*").trim();
  if (match === null || type === undefined || !PARAMETER_TYPES.includes(type)) {
    fail(line, `The parameter "${text.trim()}" of ${owner} is outside the closed set of types`);
  }
  return { name: match[2], type };
}

function expandList(macros: Map<string, string>, name: string): string[] {
  const body = macros.get(name);
  if (body === undefined) throw new SyntaxError(`math.h does not define ${name}`);
  const names: string[] = [];
  let rest = body.trim();
  while (rest !== "") {
    const entry = /^X\(([a-z0-9_]+), [A-Za-z0-9]+\)\s*/.exec(rest);
    const list = /^(AX_[A-Z_]+_OPS)\(X\)\s*/.exec(rest);
    if (entry !== null) names.push(entry[1]);
    else if (list !== null) names.push(...expandList(macros, list[1]));
    else throw new SyntaxError(`Cannot parse ${name} of math.h at "${rest.slice(0, 40)}"`);
    rest = rest.slice((entry ?? list)![0].length);
  }
  if (new Set(names).size !== names.length) throw new SyntaxError(`${name} of math.h holds a name twice`);
  return names;
}

function withoutComment(line: string): string {
  return line.replace(/\/\/.*$/, "");
}

function fail(line: number, message: string): never {
  throw new SyntaxError(`${message} (accelerate.h, line ${line + 1})`);
}
