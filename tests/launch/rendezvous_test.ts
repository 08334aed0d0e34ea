import { assertEquals, assertMatch } from "@std/assert";
import { runCli, ScriptFolder } from "../_support/processes.ts";

const IMPORTS = `
import { readDistributedEnvironment } from "${new URL("../../src/distributed/environment.ts", import.meta.url)}";
import { StoreClient } from "${new URL("../../src/distributed/store.ts", import.meta.url)}";
const { rank, worldSize, masterAddress, masterPort, storeSecret } = readDistributedEnvironment();
const connect = () => StoreClient.connect({ hostname: masterAddress, port: masterPort, secret: storeSecret, rank });
`;

Deno.test("launched processes meet in the launcher's store, and an open connection does not keep them alive", async () => {
  using folder = new ScriptFolder({
    "a.ts": `${IMPORTS}
      const store = await connect();
      await store.set("hello/" + rank, Uint8Array.of(rank * 10));
      const values = [];
      for (let other = 0; other < worldSize; other++) values.push((await store.get("hello/" + other))[0]);
      await store.barrier("all", { rank, worldSize });
      console.log(values.join());
    `,
  });
  const { code, stdout, stderr } = await runCli(["launch", "--num-processes", "3", "a.ts"], folder);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.trimEnd().split("\n").sort(), ["0,10,20", "[rank 1] 0,10,20", "[rank 2] 0,10,20"]);
});

Deno.test("a stranger without the secret neither reads nor disturbs the job", async () => {
  using folder = new ScriptFolder({
    "a.ts": `${IMPORTS}
      const store = await connect();
      if (rank === 1) {
        const options = { hostname: masterAddress, port: masterPort, secret: "guess" };
        await StoreClient.connect(options).catch((error) => console.log(error.name + ": " + error.message));
        const raw = await Deno.connect({ hostname: masterAddress, port: masterPort });
        await raw.write(new Uint8Array(100_000));
      }
      await store.barrier("all", { rank, worldSize });
    `,
  });
  const { code, stdout } = await runCli(["launch", "--num-processes", "2", "a.ts"], folder);
  assertEquals(code, 0);
  assertMatch(stdout, /^\[rank 1\] LaunchError: The store at 127\.0\.0\.1:\d+ refused this process/);
});

Deno.test("the port and the address can be chosen", async () => {
  using folder = new ScriptFolder({
    "a.ts": `${IMPORTS}
      await (await connect()).barrier("all", { rank, worldSize });
      if (rank === 0) console.log(masterAddress, masterPort);
    `,
  });
  // The port is free at this moment; nothing here takes it before the launcher does.
  const listener = Deno.listen({ hostname: "127.0.0.2", port: 0 });
  const port = String(listener.addr.port);
  listener.close();
  const args = [
    "launch",
    "--num-processes",
    "2",
    "--main-process-ip",
    "127.0.0.2",
    "--main-process-port",
    port,
    "a.ts",
  ];
  const { code, stdout, stderr } = await runCli(args, folder);
  assertEquals([code, stdout, stderr], [0, `127.0.0.2 ${port}\n`, ""]);
});
