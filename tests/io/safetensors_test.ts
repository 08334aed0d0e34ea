import { assert, assertEquals } from "@std/assert";
import { CheckpointError, io, tensor } from "../../mod.ts";

const folder = Deno.makeTempDirSync({ prefix: "accelerate-io-" });
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

async function failure(bytes: Uint8Array): Promise<CheckpointError> {
  const path = `${folder}/bad.safetensors`;
  await Deno.writeFile(path, bytes);
  try {
    await io.loadSafetensors(path);
  } catch (error) {
    assert(error instanceof CheckpointError, String(error));
    assertEquals(error.path, path);
    return error;
  }
  throw new Error("a damaged file was loaded");
}

function file(header: unknown, data = new Uint8Array()): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  out.set(data, 8 + json.length);
  return out;
}

Deno.test("safetensors of every dtype, empty and scalar ones too, come back as they were saved", async () => {
  const path = `${folder}/all.safetensors`;
  const saved = {
    f32: tensor([[1.5, -2], [3, 4]]).transpose(0, 1),
    f64: tensor([0.1], { dtype: "float64" }),
    bf16: tensor([1, 2.5, -3], { dtype: "bfloat16" }),
    i64: tensor([2 ** 40, -1], { dtype: "int64" }),
    i32: tensor([7], { dtype: "int32" }),
    u8: tensor([255, 0], { dtype: "uint8" }),
    flag: tensor([1, 0, 1], { dtype: "bool" }),
    scalar: tensor(4.25),
    nothing: tensor([], { shape: [0, 3] }),
  };
  await io.saveSafetensors(path, saved);
  const loaded = await io.loadSafetensors(path);
  assertEquals(Object.keys(loaded).sort(), Object.keys(saved).sort());
  for (const [name, value] of Object.entries(saved)) {
    assertEquals([loaded[name].dtype, loaded[name].shape, loaded[name].toArray()], [
      value.dtype,
      value.shape,
      value.toArray(),
    ]);
  }
  assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".tmp")), []);
});

Deno.test("a file truncated at any byte is a CheckpointError", async () => {
  const path = `${folder}/whole.safetensors`;
  await io.saveSafetensors(path, { a: tensor([1, 2, 3]), b: tensor([4], { dtype: "int64" }) });
  const whole = await Deno.readFile(path);
  for (let length = 0; length < whole.length; length++) await failure(whole.subarray(0, length));
});

Deno.test("damaged headers are CheckpointErrors that say what is wrong", async () => {
  const entry = (over: Record<string, unknown>): Record<string, unknown> => ({
    x: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...over },
  });
  const four = new Uint8Array(4);
  const cases: [unknown, string][] = [
    ["{", "not JSON"],
    [[], "not an object"],
    [entry({ dtype: "F8" }), "F8, which is not supported"],
    [entry({ shape: [-1] }), "no valid shape"],
    [entry({ shape: [2] }), "cannot have 4 bytes"],
    [entry({ data_offsets: [4, 8] }), "truncated"],
    [{}, "4 bytes that belong to no tensor"],
    [{ x: null }, "not supported"],
  ];
  for (const [header, message] of cases) {
    const error = await failure(file(header, four));
    assert(error.message.includes(message), `${JSON.stringify(header)}: ${error.message}`);
  }
});

Deno.test("any name comes back as it was saved, but for the header's own", async () => {
  const path = `${folder}/names.safetensors`;
  const saved = Object.fromEntries(["__proto__", "", "toString"].map((name, i) => [name, tensor([i])]));
  await io.saveSafetensors(path, saved);
  const loaded = await io.loadSafetensors(path);
  const items = (tensors: typeof loaded) => Object.entries(tensors).map(([name, x]) => `${name} ${x.item()}`).sort();
  assertEquals(items(loaded), items(saved));
  const error = await io.saveSafetensors(path, { __metadata__: tensor([1]) }).catch((reason) => reason);
  assert(error instanceof CheckpointError && error.message.includes('named "__metadata__"'));
});

Deno.test("a missing file is a CheckpointError", async () => {
  const error = await io.loadSafetensors(`${folder}/none`).catch((reason) => reason);
  assert(error instanceof CheckpointError && error.message.includes("Cannot load"));
});
