// The meetings of the collectives between GPUs, with each of their synchronisations left out in turn.
import { assert, assertEquals } from "@std/assert";
import { gpuEnvironment, hasFakeNccl, noteOf } from "../_support/gpu_ranks.ts";
import { countByOperation, dropEachSynchronisation } from "./mutation.ts";

const PROGRAM = new URL("./ipc_program.ts", import.meta.url).href;

Deno.test({
  name: `every synchronisation between GPU ranks is missed when it is left out${noteOf(hasFakeNccl)}`,
  ignore: !hasFakeNccl,
  fn: async () => {
    const { sites, unnoticed } = await dropEachSynchronisation(async (env) => {
      const command = new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "-A", PROGRAM],
        env: { ...gpuEnvironment("ipc"), ...env },
        stdout: "null",
        stderr: "null",
        signal: AbortSignal.timeout(120_000),
      });
      return (await command.output()).success;
    }, ["1", "2", "3", "4"]);
    // Barriers at the start of a kernel and around a post, the post itself, and the wait for those of the others.
    assertEquals(Object.keys(countByOperation(sites)).sort(), ["__syncthreads", "hasReached", "releaseFlag"]);
    assert(sites.length >= 5, `only ${sites.length} sites`);
    assertEquals(countByOperation(unnoticed), {});
  },
});
