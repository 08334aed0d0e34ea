import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { LaunchError } from "../../src/core/errors.ts";
import {
  type EnvironmentReader,
  readAccelerateEnvironment,
  readDistributedEnvironment,
} from "../../src/distributed/environment.ts";

const COMPLETE: Record<string, string> = {
  RANK: "1",
  LOCAL_RANK: "1",
  WORLD_SIZE: "2",
  LOCAL_WORLD_SIZE: "2",
  MASTER_ADDR: "127.0.0.1",
  MASTER_PORT: "29500",
  ACCELERATE_STORE_SECRET: "secret",
};

function reader(variables: Record<string, string | undefined>): EnvironmentReader {
  return (name) => variables[name];
}

Deno.test("without a launcher there is one process", () => {
  const single = readDistributedEnvironment(reader({ MASTER_PORT: "1", LOCAL_WORLD_SIZE: "4" }));
  assertEquals([single.rank, single.worldSize, single.localRank, single.launched], [0, 1, 0, false]);
});

Deno.test("with a launcher the place is the launcher's", () => {
  assertEquals(readDistributedEnvironment(reader(COMPLETE)), {
    rank: 1,
    localRank: 1,
    worldSize: 2,
    localWorldSize: 2,
    masterAddress: "127.0.0.1",
    masterPort: 29500,
    storeSecret: "secret",
    launched: true,
  });
  const alone = { RANK: "0", LOCAL_RANK: "0", WORLD_SIZE: "1", LOCAL_WORLD_SIZE: "1" };
  assertEquals(readDistributedEnvironment(reader(alone)).worldSize, 1, "one process needs no store");
});

Deno.test("what is missing or contradictory is named", () => {
  for (const name of Object.keys(COMPLETE)) {
    const { message } = assertThrows(
      () => readDistributedEnvironment(reader({ ...COMPLETE, [name]: undefined })),
      LaunchError,
    );
    assertStringIncludes(message, `${name} is missing`);
  }
  const cases: [Record<string, string>, string][] = [
    [{ RANK: "2" }, "RANK must be less than WORLD_SIZE, got RANK=2 and WORLD_SIZE=2"],
    [{ RANK: "-1" }, 'RANK must be a whole number of at least 0, got "-1"'],
    [{ RANK: "one" }, 'got "one"'],
    [{ RANK: "1.0" }, 'got "1.0"'],
    [{ WORLD_SIZE: "0" }, 'WORLD_SIZE must be a whole number of at least 1, got "0"'],
    [{ LOCAL_RANK: "2" }, "LOCAL_RANK must be less than LOCAL_WORLD_SIZE"],
    [{ LOCAL_WORLD_SIZE: "3" }, "LOCAL_WORLD_SIZE must be at most WORLD_SIZE, got 3 and 2"],
    [{ RANK: "0" }, "LOCAL_RANK must be at most RANK, got 1 and 0"],
    [{ MASTER_PORT: "0" }, "MASTER_PORT must be a whole number from 1 to 65535"],
    [{ MASTER_PORT: "99999" }, "MASTER_PORT"],
  ];
  for (const [variables, sentence] of cases) {
    const { message } = assertThrows(
      () => readDistributedEnvironment(reader({ ...COMPLETE, ...variables })),
      LaunchError,
    );
    assertStringIncludes(message, sentence);
    assertStringIncludes(message, "cli.ts launch");
  }
});

Deno.test("Accelerate's variables", () => {
  assertEquals(readAccelerateEnvironment(reader({})), {
    cpu: false,
    mixedPrecision: undefined,
    gradientAccumulationSteps: undefined,
  });
  assertEquals(
    readAccelerateEnvironment(reader({
      ACCELERATE_USE_CPU: "True",
      ACCELERATE_MIXED_PRECISION: "bf16",
      ACCELERATE_GRADIENT_ACCUMULATION_STEPS: "4",
    })),
    { cpu: true, mixedPrecision: "bf16", gradientAccumulationSteps: 4 },
  );
  const wrong: [Record<string, string>, string][] = [
    [{ ACCELERATE_USE_CPU: "perhaps" }, "must be 1 or 0"],
    [{ ACCELERATE_MIXED_PRECISION: "int8" }, "must be one of no, bf16, fp16, fp8"],
    [{ ACCELERATE_GRADIENT_ACCUMULATION_STEPS: "0" }, "at least 1"],
    [{ ACCELERATE_GRADIENT_ACCUMULATION_STEPS: "x" }, "at least 1"],
  ];
  for (const [variables, sentence] of wrong) {
    assertThrows(() => readAccelerateEnvironment(reader(variables)), LaunchError, sentence);
  }
});
