/**
 * The command line: `deno run -A cli.ts launch` trains with one process per local GPU, or on the CPU.
 *
 * @module
 */
import { main } from "./src/launch/main.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));
