/** How the library finds, uses and gives up NCCL, with the stand-in of tests/kernels/fake_nccl.cc. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { LaunchError } from "../../src/core/errors.ts";
import { checkDescriptions } from "../../src/distributed/gpu_group.ts";
import { gpuEnvironment, hasFakeNccl, noteOf, runGpuRanks } from "../_support/gpu_ranks.ts";

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name: `${name}${noteOf(hasFakeNccl)}`, ignore: !hasFakeNccl, fn: run });
}

/** Joins, reduces three times, and prints how that ended. */
const REDUCE = `
  Deno.addSignalListener("SIGTERM", () => {});
  try {
    const group = await join(Number(Deno.env.get("TEST_TIMEOUT_MS") ?? 60000));
    const value = tensor([environment.rank + 1], { device: gpu });
    for (let i = 0; i < 3; i++) { group.allReduce(value, "sum", 0.5); value.item(); }
    console.log("sum", value.item());
    await group.barrier();
    await group.close();
  } catch (error) { console.log(error.name, "rank", error.rank ?? "", error.message); Deno.exit(3); }
`;

async function outputs(collectives: "ipc" | "nccl", more: Record<string, string>): Promise<string[]> {
  const { stdout } = await runGpuRanks(2, REDUCE, { env: gpuEnvironment(collectives, more) });
  return stdout.trimEnd().split("\n").map((line) => line.replace(/^\[rank 1\] /, "")).sort();
}

test("a rank whose NCCL never finishes joining gives up at the time limit", async () => {
  const lines = await outputs("nccl", { FAKE_NCCL_FAULT: "init_hang", TEST_TIMEOUT_MS: "1500" });
  assertEquals(lines.length, 2);
  for (const line of lines) {
    assertMatch(line, /^CollectiveError rank -1 Rank \d cannot join: .*(NCCL waited 1500 ms in join|did not arrive)/);
  }
});

test("an error of NCCL while joining is passed on, with its words", async () => {
  const lines = await outputs("nccl", { FAKE_NCCL_FAULT: "init_error" });
  assertMatch(
    lines.join("\n"),
    /CollectiveError .*NCCL failed in join: unhandled system error \(the fake's last error\)/,
  );
});

test("an asynchronous error of NCCL ends what hangs in it: the communicator is aborted", async () => {
  const lines = await outputs("nccl", { FAKE_NCCL_FAULT: "error:2" });
  assertEquals(lines.length, 2);
  assert(lines.every((line) => line.startsWith("CollectiveError")), lines.join("\n"));
  assertMatch(lines.join("\n"), /NCCL failed in all_reduce\(.*remote process exited or there was a network error/);
});

test("a collective of NCCL that hangs is aborted at the time limit", async () => {
  const lines = await outputs("nccl", { FAKE_NCCL_FAULT: "hang:2", TEST_TIMEOUT_MS: "1500" });
  assertEquals(lines.length, 2);
  assertMatch(
    lines.join("\n"),
    /CollectiveError rank -1 .*waited 1500 ms in all_reduce\(sum, float32, 1 elements, scale 0\.5\)/,
  );
});

test("without NCCL the ranks of one machine reduce through each other's memory", async () => {
  const missing = { ACCELERATE_NCCL_LIBRARY: "/nowhere/libnccl.so.2", ACCELERATE_COLLECTIVES: "" };
  assertEquals(await outputs("ipc", missing), ["sum 1.5", "sum 1.5"]);
});

test("where there is neither, a LaunchError says what to install, and for an old NCCL which version", async () => {
  const missing = await outputs("nccl", { ACCELERATE_NCCL_LIBRARY: "/nowhere/libnccl.so.2" });
  for (const line of missing) {
    assertMatch(
      line,
      /^LaunchError .*Cannot connect the GPUs of 2 ranks: there is no NCCL: ACCELERATE_NCCL_LIBRARY names \/nowhere.* Install NCCL 2\.18/,
    );
  }
  const old = await outputs("nccl", { FAKE_NCCL_VERSION: "21005" });
  for (const line of old) {
    assertMatch(line, /^LaunchError .*the NCCL that was found has version 2\.10\.5\. Install NCCL 2\.18 or later/);
  }
  const sharing = await outputs("nccl", { FAKE_NCCL_VERSION: "22907" });
  for (const line of sharing) assertMatch(line, /^LaunchError .*NCCL before 2\.30 cannot share a GPU between ranks/);
});

test("ranks of several machines use NCCL alone, and meet through the store", async () => {
  const { code, stdout, stderr } = await runGpuRanks(
    2,
    `
    Object.assign(environment, { localRank: 0, localWorldSize: 1 });
    const group = await join(60000);
    const value = tensor([environment.rank + 1, 2], { device: gpu });
    await group.ready();
    group.allReduce(value, "sum", 1);
    console.log(value.toArray().join());
    await group.barrier();
    await group.close();
  `,
    { env: gpuEnvironment("nccl", { ACCELERATE_COLLECTIVES: "", ACCELERATE_SHARE_GPU: "" }) },
  );
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.trimEnd().split("\n").sort(), ["3,4", "[rank 1] 3,4"]);
});

const describe = (values: Record<string, string> = {}): string =>
  Object.entries({
    gpu: "H100",
    capability: "9.0",
    driver: "13.0",
    runtime: "13.0",
    nccl: "2.30.7",
    bus: "0000:01:00.0",
    ...values,
  })
    .map(([key, value]) => `${key}=${value}\n`).join("");

Deno.test("ranks with different GPUs or versions are refused, and both are shown", () => {
  const second = { bus: "0000:02:00.0" };
  checkDescriptions([describe(), describe(second)], 2, false);
  for (
    const [key, value] of [["gpu", "A100"], ["capability", "8.0"], ["driver", "12.8"], ["runtime", "12.0"], [
      "nccl",
      "none",
    ]]
  ) {
    const error = assertThrows(
      () =>
        checkDescriptions([describe(), describe(second), describe({ bus: "0000:03:00.0", [key]: value })], 3, false),
      LaunchError,
      "mixed GPU models or library versions between ranks",
    );
    assertMatch(error.message, new RegExp(`rank 2 has .*${key} ${value.replace(".", "\\.")}`));
  }
});

Deno.test("two ranks of one machine on one GPU are refused unless they may share it; of two machines they are not", () => {
  const same = [describe(), describe()];
  assertThrows(() => checkDescriptions(same, 2, false), LaunchError, "ranks 0 and 1 both use the one at 0000:01:00.0");
  checkDescriptions(same, 2, true);
  checkDescriptions(same, 1, false);
});
