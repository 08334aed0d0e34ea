/**
 * Everything that mod.ts exports has a sentence, and names only types that it exports too: `deno doc --lint mod.ts`.
 *
 * @module
 */
const ROOT = new URL("../", import.meta.url);

const { success, stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["doc", "--lint", "mod.ts"],
  cwd: ROOT,
  env: { NO_COLOR: "1" },
  stdout: "null",
  stderr: "piped",
}).output();
const output = new TextDecoder().decode(stderr);
/** Types that users find in the namespaces data, io, nn, optim and tracking; the lint does not look into those. */
const NAMESPACED = new Set([
  "ClipGradNormOptions",
  "DataLoader",
  "Module",
  "Optimizer",
  "SaveModelOptions",
  "Tracker",
  "TrackerChoice",
  "TrackerClass",
]);
const isNamespaced = (finding: string): boolean =>
  NAMESPACED.has(/references private type '(\w+)'/.exec(finding)?.[1] ?? "");

const findings = output.split("\n\n").filter((text) => /^error\[/.test(text.trim()) && !isNamespaced(text));
if (!success && !output.includes("error[")) {
  console.error(output);
  Deno.exit(1);
}
if (findings.length > 0) {
  console.error(`${findings.join("\n\n")}\n${findings.length} of what mod.ts exports is not documented`);
  Deno.exit(1);
}
