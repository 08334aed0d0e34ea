import { assert, assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Serves the checkout, with replacements for some paths. */
function serve(replace: Record<string, Uint8Array<ArrayBuffer>> = {}): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const type = pathname.endsWith(".ts")
      ? "application/typescript"
      : pathname.endsWith(".json")
      ? "application/json"
      : "application/octet-stream";
    try {
      return new Response(replace[pathname] ?? await Deno.readFile(ROOT + pathname.slice(1)), {
        headers: { "content-type": type },
      });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return new Response(null, { status: 404 });
      throw error;
    }
  });
}

interface Project extends AsyncDisposable {
  run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  path: string;
}

/** A folder without deno.json, with a cache of its own. */
async function project(): Promise<Project> {
  const path = await Deno.makeTempDir({ prefix: "accelerate-remote-" });
  return {
    path,
    async run(...args) {
      const command = new Deno.Command(Deno.execPath(), {
        args,
        cwd: path,
        env: { DENO_DIR: `${path}/cache`, NO_COLOR: "1", ACCELERATE_LIBRARY_DIR: "", CUDA_VISIBLE_DEVICES: "" },
      });
      const { code, stdout, stderr } = await command.output();
      return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(path, { recursive: true });
    },
  };
}

/** The program of the examples, as a user's script that imports the server's mod.ts. */
async function writeProgram(path: string, port: number): Promise<void> {
  const text = await Deno.readTextFile(`${ROOT}examples/regression.ts`);
  await Deno.writeTextFile(`${path}/train.ts`, text.replace("../mod.ts", `http://127.0.0.1:${port}/mod.ts`));
}

const TRAINED = /Epoch 1, Loss: \d+\.\d{4}\nEpoch 2, Loss: \d+\.\d{4}\n/;

Deno.test("mod.ts imported over http trains, cold and then without the server", async () => {
  await using user = await project();
  const server = serve();
  await writeProgram(user.path, server.addr.port);
  const cold = await user.run("run", "-A", "train.ts");
  assertEquals(cold.code, 0, cold.stderr);
  assertMatch(cold.stdout, TRAINED);
  await server.shutdown();
  const offline = await user.run("run", "-A", "train.ts");
  assertEquals(offline.code, 0, offline.stderr);
  assertMatch(offline.stdout, TRAINED);
});

Deno.test("several processes may fetch the library at once", async () => {
  await using user = await project();
  const server = serve();
  await writeProgram(user.path, server.addr.port);
  const results = await Promise.all([0, 1, 2].map(() => user.run("run", "-A", "train.ts")));
  for (const { code, stdout, stderr } of results) {
    assertEquals(code, 0, stderr);
    assertMatch(stdout, TRAINED);
  }
  const files: string[] = [];
  for await (const folder of Deno.readDir(`${user.path}/cache/accelerate`)) {
    for await (const file of Deno.readDir(`${user.path}/cache/accelerate/${folder.name}`)) files.push(file.name);
  }
  assertEquals(files, ["libaccelerate_cpu.so"]);
  await server.shutdown();
});

Deno.test("a tampered library is refused by its hash, and nothing of it is kept", async () => {
  await using user = await project();
  const library = await Deno.readFile(`${ROOT}ffi/prebuilt/linux-x86_64/libaccelerate_cpu.so`);
  library[library.length >> 1] ^= 1;
  const server = serve({ "/ffi/prebuilt/linux-x86_64/libaccelerate_cpu.so": library });
  await writeProgram(user.path, server.addr.port);
  const { code, stdout, stderr } = await user.run("run", "-A", "train.ts");
  await server.shutdown();
  assertEquals([code, stdout], [1, ""]);
  assertMatch(
    stderr,
    /LibraryError: Refused http.*libaccelerate_cpu\.so: its SHA-256 must be [0-9a-f]{64}, got [0-9a-f]{64}/,
  );
  const kept = await Deno.stat(`${user.path}/cache/accelerate`).then(() => true, () => false);
  assert(!kept, "no cache folder was made");
});

Deno.test("cli.ts launch works from a URL, cold and then without the server", async () => {
  await using user = await project();
  const server = serve();
  const cli = `http://127.0.0.1:${server.addr.port}/cli.ts`;
  const cold = await user.run("run", "-A", cli, "launch");
  assertEquals(cold.code, 0, cold.stderr);
  assertMatch(cold.stdout, TRAINED);
  await server.shutdown();
  const offline = await user.run("run", "-A", cli, "launch", "--cpu", "--num-processes", "2");
  assertEquals(offline.code, 0, offline.stderr);
  assertMatch(offline.stdout, TRAINED);
});

Deno.test("workers of a loader run when mod.ts and the data set are imported over http", async () => {
  await using user = await project();
  const module = (port: number): string => `
    import { data } from "http://127.0.0.1:${port}/mod.ts";
    export class Squares extends data.Dataset {
      length = 5;
      get(index) { return index * index; }
    }`;
  const replaced: Record<string, Uint8Array<ArrayBuffer>> = {};
  const server = serve(replaced);
  const { port } = server.addr;
  replaced["/squares.ts"] = new TextEncoder().encode(module(port));
  await Deno.writeTextFile(
    `${user.path}/load.ts`,
    `import { data } from "http://127.0.0.1:${port}/mod.ts";
    const dataset = await data.datasetFromModule("http://127.0.0.1:${port}/squares.ts", { export: "Squares" });
    for await (const x of new data.DataLoader(dataset, { batchSize: 5, numWorkers: 1 })) console.log(x.toArray());`,
  );
  const { code, stdout, stderr } = await user.run("run", "-A", "load.ts");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /\[ 0n?, 1n?, 4n?, 9n?, 16n? \]/);
  await server.shutdown();
});
