/**
 * Reads what `deno test` printed: every skipped test must say why, and where there is no GPU there must be one for each file whose tests run
 * on every device. `deno run -A tools/check_skips.ts <file>`.
 *
 * @module
 */
const ROOT = new URL("../", import.meta.url).pathname;
// deno-lint-ignore no-control-regex -- colours
const output = (await Deno.readTextFile(Deno.args[0])).replace(/\x1b\[[0-9;]*m/g, "");
const skipped = output.split("\n").filter((line) => / \.\.\. ignored \(/.test(line));

async function filesOnEveryDevice(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) found.push(...await filesOnEveryDevice(path));
    else if (name.endsWith("_test.ts") && (await Deno.readTextFile(path)).includes("testDevices(import.meta.url)")) {
      found.push(path);
    }
  }
  return found;
}

const wrong = skipped.filter((line) => !line.includes("(skipped: ")).map((line) => `no reason: ${line}`);
const onCuda = skipped.filter((line) => line.includes("on cuda (skipped: ")).length;
const expected = (await filesOnEveryDevice(`${ROOT}tests`)).length;
if (onCuda !== 0 && onCuda !== expected) wrong.push(`${onCuda} files were skipped on cuda, not ${expected}`);
if (!/passed/.test(output)) wrong.push("no test ran");
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  Deno.exit(1);
}
console.log(`${skipped.length} tests skipped, each with a reason; ${onCuda} of ${expected} files on cuda`);
