/**
 * Files of at most 400 lines (the one ABI header, whose length is that of the interface, at most 700), and a prebuilt library of at most 8 MB.
 *
 * @module
 */
const ROOT = new URL("../", import.meta.url).pathname;
const MAX_LINES = 400;
const MAX_HEADER_LINES = 700;
const MAX_LIBRARY_BYTES = 8e6;
const GENERATED = new Set(["ffi/symbols.ts", "ffi/op_ids.ts", "ffi/constants.ts"]);

const { stdout } = await new Deno.Command("git", {
  args: ["-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
}).output();
const files = new TextDecoder().decode(stdout).trim().split("\n");
let failed = files.length < 10;
for (const path of files) {
  if (path.endsWith(".so")) {
    const { size } = await Deno.stat(ROOT + path);
    if (size > MAX_LIBRARY_BYTES) {
      console.error(`${path} has ${size} bytes: at most ${MAX_LIBRARY_BYTES}`);
      failed = true;
    }
  }
  if (!/\.(ts|cu|cuh|cc|h)$/.test(path) || GENERATED.has(path)) continue;
  const text = await Deno.readTextFile(ROOT + path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return ""; // deleted, and not committed yet
    throw error;
  });
  const lines = text.split("\n").length - 1;
  const limit = path === "kernels/include/accelerate.h" ? MAX_HEADER_LINES : MAX_LINES;
  if (lines > limit) {
    console.error(`${path} has ${lines} lines: at most ${limit}. Give its second subject a file of its own`);
    failed = true;
  }
}
if (failed) Deno.exit(1);
