/**
 * All gates that need no test runner, in the order in which they are cheap. `deno task check` and `.ci/run` call it.
 *
 * @module
 */
const GATES: Record<string, string[]> = {
  format: ["fmt", "--check"],
  lint: ["lint", "--quiet"],
  types: ["check", "--quiet", "."],
  layers: ["run", "-A", "tools/check_layers.ts"],
  size: ["run", "-A", "tools/check_size.ts"],
  docs: ["run", "-A", "tools/check_docs.ts"],
  generated: ["run", "-A", "tools/gen_symbols.ts", "--check"],
  "prebuilt cpu": ["run", "-A", "kernels/build.ts", "cpu", "--check"],
  "prebuilt cuda": ["run", "-A", "kernels/build.ts", "cuda", "--check"],
};

for (const [name, args] of Object.entries(GATES)) {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: new URL("../", import.meta.url),
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (code !== 0) {
    console.error(`gate "${name}" failed: deno ${args.join(" ")}`);
    Deno.exit(code);
  }
  console.log(`gate "${name}" ok`);
}
