import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { CheckpointError, io, manualSeed, memoryStats, nn, noGrad, randn } from "../../mod.ts";
import { collectGarbage } from "../_support/garbage.ts";
import { Tied } from "../_support/tied.ts";

class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "accelerate-model-" });
  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
  list(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name).sort();
  }
}

const chain = (count: number): nn.Sequential =>
  new nn.Sequential(...Array.from({ length: count }, () => new nn.Linear(100, 100)));

function assertSameWeights(actual: nn.Module, expected: nn.Module): void {
  const [got, want] = [actual.stateDict(), expected.stateDict()];
  assertEquals(Object.keys(got), Object.keys(want));
  for (const name of Object.keys(want)) assertEquals(got[name].toArray(), want[name].toArray(), name);
}

async function failure(promise: Promise<unknown>): Promise<CheckpointError> {
  return await assertRejects(() => promise, CheckpointError) as CheckpointError;
}

Deno.test("CK-8 four layers of 40,400 bytes make two shards of 100KB, with Hugging Face's index", async () => {
  using folder = new Folder();
  const model = chain(4);
  await io.saveModel(folder.path, model, { maxShardSize: "100KB" });
  assertEquals(folder.list(), [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  const index = JSON.parse(Deno.readTextFileSync(`${folder.path}/model.safetensors.index.json`));
  assertEquals(index.metadata.total_size, 161600);
  const layersOf = (shard: number): string[] =>
    Object.entries(index.weight_map).filter(([, file]) => file === `model-0000${shard}-of-00002.safetensors`)
      .map(([name]) => name);
  assertEquals(layersOf(1), ["0.weight", "0.bias", "1.weight", "1.bias"]);
  assertEquals(layersOf(2), ["2.weight", "2.bias", "3.weight", "3.bias"]);
  const other = chain(4);
  await io.loadModel(other, folder.path);
  assertSameWeights(other, model);
  const again = chain(4);
  await io.loadModel(again, `${folder.path}/model.safetensors.index.json`);
  assertSameWeights(again, model);
});

Deno.test("CK-8 shards of 100 bytes: a tensor that is larger has a file of its own, and outputs are equal", async () => {
  using folder = new Folder();
  const make = (): nn.Sequential => new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Linear(4, 5));
  const [model, other] = [make(), make()];
  await io.saveModel(folder.path, model, { maxShardSize: 100 });
  assertEquals(folder.list().filter((name) => name.endsWith(".safetensors")).length, 3);
  await io.loadModel(other, folder.path);
  const x = randn([6, 3]);
  assertEquals(other.eval().forward(x).toArray(), model.eval().forward(x).toArray());
});

Deno.test("CK-8 B11 saving again leaves no stale file, and no other file is touched", async () => {
  using folder = new Folder();
  await io.saveModel(folder.path, chain(4), { maxShardSize: "50KB" });
  assertEquals(folder.list().length, 5);
  await Deno.writeTextFile(`${folder.path}/config.json`, "{}");
  await Deno.writeTextFile(`${folder.path}/model-notes.safetensors`, "not ours");
  await Deno.writeTextFile(`${folder.path}/model-00009-of-00009.safetensors.123.tmp`, "of a save that was killed");
  const small = chain(1);
  await io.saveModel(folder.path, small);
  assertEquals(folder.list(), ["config.json", "model-notes.safetensors", "model.safetensors"]);
  const other = chain(1);
  await io.loadModel(other, folder.path);
  assertSameWeights(other, small);
  await io.saveModel(folder.path, chain(2), { maxShardSize: "50KB" });
  assertEquals(folder.list(), [
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model-notes.safetensors",
    "model.safetensors.index.json",
  ]);
});

Deno.test("shards of two saves are not mixed", async () => {
  using first = new Folder();
  using second = new Folder();
  await io.saveModel(first.path, chain(2), { maxShardSize: "50KB" });
  await io.saveModel(second.path, chain(2), { maxShardSize: "50KB" });
  const shard = "model-00001-of-00002.safetensors";
  await Deno.copyFile(`${second.path}/${shard}`, `${first.path}/${shard}`);
  const error = await failure(io.loadModel(chain(2), first.path));
  assertEquals(error.path, `${first.path}/${shard}`);
  assertMatch(error.message, /is of another save/);
});

Deno.test("tied weights are stored once; the header names the other, and any model can load them", async () => {
  using folder = new Folder();
  const model = new Tied();
  await io.saveModel(folder.path, model);
  const stored = await io.loadSafetensors(`${folder.path}/model.safetensors`);
  assertEquals(Object.keys(stored), ["embedding.weight"]);
  assertEquals(Object.keys(await io.loadWeights(folder.path)).sort(), ["embedding.weight", "head.weight"]);
  const other = new Tied();
  await io.loadModel(other, folder.path);
  assertSameWeights(other, model);
  // A file without the note, as Hugging Face's libraries write it, and a model that is not tied.
  await io.saveSafetensors(`${folder.path}/model.safetensors`, stored);
  noGrad(() => other.embedding.weight.zero_());
  await io.loadModel(other, folder.path);
  assertSameWeights(other, model);
});

Deno.test("mapKey renames and leaves out; two tensors of one name are an error", async () => {
  using folder = new Folder();
  const model = new nn.Linear(3, 2);
  const state = Object.fromEntries(
    Object.entries(model.stateDict()).map(([name, value]) => [`transformer.proj.${name}`, value]),
  );
  await io.saveSafetensors(`${folder.path}/pytorch.safetensors`, { ...state, "lm.mask": randn([4]) });
  const other = new nn.Linear(3, 2);
  const mapKey = (key: string): string | null => key === "lm.mask" ? null : key.replace("transformer.proj.", "");
  assertEquals(await io.loadModel(other, folder.path, { mapKey }), { missingKeys: [], unexpectedKeys: [] });
  assertSameWeights(other, model);
  const same = await failure(io.loadWeights(folder.path, { mapKey: () => "x" }));
  assertMatch(same.message, /mapKey gives ".*" and ".*" the same name "x"/);
});

Deno.test("what does not fit is a CheckpointError with the file's path, and changes nothing", async () => {
  using folder = new Folder();
  const model = new nn.Linear(3, 2);
  await io.saveModel(folder.path, new nn.Linear(3, 4));
  const before = model.weight.toArray();
  const shape = await failure(io.loadModel(model, folder.path));
  assertEquals(shape.path, folder.path);
  assertMatch(shape.message, /Cannot load weight: its shape must be \(2, 3\), got \(4, 3\)/);
  await io.saveModel(folder.path, { weight: model.weight });
  assertMatch((await failure(io.loadModel(model, folder.path))).message, /missing \[bias\], unexpected \[\]/);
  assertEquals(await io.loadModel(model, folder.path, { strict: false }), {
    missingKeys: ["bias"],
    unexpectedKeys: [],
  });
  assertEquals(model.weight.toArray(), before);
  assertMatch((await failure(io.loadModel(model, `${folder.path}/none`))).message, /No such file/);

  using shards = new Folder();
  await io.saveModel(shards.path, chain(2), { maxShardSize: "50KB" });
  const index = `${shards.path}/model.safetensors.index.json`;
  const text = await Deno.readTextFile(index);
  await Deno.remove(`${shards.path}/model-00002-of-00002.safetensors`);
  assertEquals((await failure(io.loadWeights(shards.path))).path, `${shards.path}/model-00002-of-00002.safetensors`);
  await Deno.writeTextFile(index, text.replace(/"sha256": \{[^}]*\}/, '"x": 1').replaceAll("00002-of", "00001-of"));
  assertMatch(
    (await failure(io.loadWeights(shards.path))).message,
    /tensor "1\.weight" is missing, which .* places there/,
  );
  for (const bad of ["{", "[]", '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "../secret.safetensors"}}']) {
    await Deno.writeTextFile(index, bad);
    await failure(io.loadWeights(shards.path));
  }
  using empty = new Folder();
  assertMatch((await failure(io.loadWeights(empty.path))).message, /holds no \.safetensors file/);
  for (const name of ["a", "b"]) await io.saveSafetensors(`${empty.path}/${name}.safetensors`, {});
  assertMatch(
    (await failure(io.loadWeights(empty.path))).message,
    /holds a\.safetensors and b\.safetensors\. Pass the path/,
  );
  const file = `${empty.path}/a.safetensors`;
  assertMatch((await failure(io.saveModel(file, model))).message, /Cannot save a model to/);
});

Deno.test("loading holds no memory beyond the model", async () => {
  using folder = new Folder();
  manualSeed(1);
  const model = new Tied();
  await io.saveModel(folder.path, model);
  // What earlier tests left to the collector must not go meanwhile.
  await collectGarbage();
  const before = memoryStats().liveStorages;
  for (let i = 0; i < 3; i++) await io.loadModel(model, folder.path);
  assertEquals(memoryStats().liveStorages, before);
});

Deno.test("sizes are read as Accelerate reads them", () => {
  const sizes: [string | number, number][] = [
    ["100MB", 1e8],
    ["2GiB", 2147483648],
    ["512KiB", 524288],
    ["1.5GB", 1.5e9],
    [500, 500],
    ["1Gb", 1.25e8],
  ];
  for (const [text, bytes] of sizes) assertEquals(io.parseByteSize(text), bytes);
  for (const bad of ["5MBB", "5k0MB", "-1GB", "", "GB", -1, NaN]) {
    const error = assertThrows(() => io.parseByteSize(bad), RangeError);
    assert(error.message.includes("Cannot read the size"));
  }
});

const GOLDEN = new URL("../golden/model_files/", import.meta.url).pathname;

/** The weights of tests/golden/generate_model_files.py. */
function expectedWeights(model: nn.Module): Record<string, number[]> {
  let position = 0;
  return Object.fromEntries(
    Object.entries(model.stateDict()).map(([name, { size, dtype }]) => {
      const start = position;
      position += size;
      return [name, Array.from({ length: size }, (_, i) => dtype === "int64" ? start : (start + i) / 8)];
    }),
  );
}

Deno.test("files of Accelerate and safetensors load: single, sharded, tied", async () => {
  const make = (): nn.Sequential => new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Linear(4, 5));
  for (const [folder, model] of [["single", make()], ["sharded", make()], ["tied", new Tied()]] as const) {
    await io.loadModel(model, GOLDEN + folder);
    // The generator fills tied weights twice: under both names, the second one last.
    const want = expectedWeights(model);
    if (folder === "tied") want["embedding.weight"] = want["head.weight"];
    for (const [name, tensor] of Object.entries(model.stateDict())) {
      assertEquals(Array.from(tensor.data(), Number), want[name], `${folder} ${name}`);
    }
  }
});
