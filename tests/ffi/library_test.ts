import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { check, lastError } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { NativeError } from "../../ffi/errors.ts";
import { cpuLibrary, cudaLibrary, readCString } from "../../ffi/library.ts";
import { findLibrary } from "../../ffi/resolve.ts";
import { symbols } from "../../ffi/symbols.ts";
import { device, DeviceError, devices } from "../../mod.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;

/** The error that the first tensor of a program gives when the folder holds this library. */
async function errorWith(write: (path: string) => Promise<void>): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    await write(`${folder}/libaccelerate_cpu.so`);
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { ones } from "${MOD}"; try { ones([1]); } catch (e) { console.log(e.name + ": " + e.message); }`,
      ],
      env: { ACCELERATE_LIBRARY_DIR: folder, NO_COLOR: "1" },
    }).output();
    assertEquals(code, 0);
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const real = (): Promise<Uint8Array<ArrayBuffer>> => Deno.readFile(findLibrary("cpu")!);

Deno.test("a missing library is a LibraryError that names the variable", async () => {
  assertMatch(
    await errorWith(() => Promise.resolve()),
    /^LibraryError: Cannot find .*ACCELERATE_LIBRARY_DIR must name the folder/,
  );
});

Deno.test("a truncated library is a LibraryError, not a crash", async () => {
  const bytes = await real();
  for (const length of [0, 40, 64, 5000, bytes.length - 1]) {
    const error = await errorWith((path) => Deno.writeFile(path, bytes.subarray(0, length)));
    assertMatch(error, /^LibraryError: Cannot load .*(truncated|not a 64-bit ELF library)/);
  }
});

Deno.test("a file that is no library is a LibraryError", async () => {
  assertMatch(
    await errorWith((path) => Deno.writeTextFile(path, "x".repeat(200))),
    /^LibraryError: .*not a 64-bit ELF library/,
  );
});

Deno.test("a library built from another header is refused by its ABI hash", async () => {
  const bytes = await real();
  const hash = new TextEncoder().encode((await import("../../ffi/symbols.ts")).ABI_HASH);
  const at = bytes.findIndex((_, i) => hash.every((byte, k) => bytes[i + k] === byte));
  assert(at > 0, "the hash is in the library");
  bytes[at] ^= 1;
  assertMatch(
    await errorWith((path) => Deno.writeFile(path, bytes)),
    /^LibraryError: Cannot use .* built from another accelerate\.h .*deno task build:cpu/,
  );
});

Deno.test("every declared function is exported: the library opens with all symbols", () => {
  const library = cpuLibrary();
  assertEquals(Object.keys(library).sort(), Object.keys(symbols).sort());
});

Deno.test("a released storage is an error of the native library, not a crash", () => {
  const library = cpuLibrary();
  const id = new Uint32Array(1);
  check(library.ax_storage_create(id, 0, 64, AX.MEMORY_OTHER), "ax_storage_create", library);
  check(library.ax_storage_release(id, 1), "ax_storage_release", library);
  let error: unknown;
  try {
    check(library.ax_fill(AX.FLOAT32, id[0], 0, 1, 1), "ax_fill", library);
  } catch (thrown) {
    error = thrown;
  }
  assert(error instanceof NativeError);
  assertEquals([error.symbol, error.code], ["ax_fill", AX.ERROR_STORAGE]);
  assertEquals(library.ax_storage_release(id, 1), AX.ERROR_STORAGE);
});

Deno.test("ranges outside a storage are refused, also at the edge", () => {
  const library = cpuLibrary();
  const id = new Uint32Array(1);
  check(library.ax_storage_create(id, 0, 64, AX.MEMORY_OTHER), "ax_storage_create", library);
  for (const [offset, count] of [[0, 17], [16, 1], [-1, 1], [0.5, 1], [0, NaN], [0, Infinity], [2 ** 60, 1]]) {
    assert(library.ax_fill(AX.FLOAT32, id[0], offset, count, 1) !== AX.OK, `${offset}, ${count}`);
  }
  assertEquals(library.ax_fill(AX.FLOAT32, id[0], 0, 16, 1), AX.OK);
  check(library.ax_storage_release(id, 1), "ax_storage_release", library);
});

Deno.test("the library describes itself", () => {
  const text = new Uint8Array(256);
  assertEquals(cpuLibrary().ax_library_describe(text, text.length), AX.OK);
  assertMatch(readCString(text), /backend=cpu\nisa=(baseline|avx2|avx512)\nthreads=\d+/);
});

Deno.test("the CUDA library loads on any machine; without a driver it answers with a status and a sentence", () => {
  const library = cudaLibrary();
  assertEquals(Object.keys(library).sort(), Object.keys(symbols).sort());
  const text = new Uint8Array(512);
  assertEquals(library.ax_library_describe(text, text.length), AX.OK);
  assertMatch(readCString(text), /backend=cuda\nruntime=13\d+\ndriver=\d+/);
  const count = new Int32Array(1);
  const status = library.ax_device_count(count);
  if (status === AX.OK) return;
  assertEquals([status, count[0]], [AX.ERROR_DEVICE, 0]);
  assertMatch(lastError(library), /^cannot count the GPUs: /);
  const id = new Uint32Array(1);
  assertEquals(library.ax_storage_create(id, 0, 64, AX.MEMORY_OTHER), AX.ERROR_DEVICE);
});

Deno.test("without a driver every function that needs the GPU answers with a status and a sentence", async () => {
  const library = cudaLibrary();
  const count = new Int32Array(1);
  if (library.ax_device_count(count) === AX.OK) return; // there is a GPU
  const id = new Uint32Array(1);
  const error = new Uint8Array(256);
  const calls: Record<string, [() => number, RegExp]> = {
    create: [() => library.ax_storage_create(id, 0, 64, AX.MEMORY_OTHER), /^cannot start the device: /],
    stats: [
      () => library.ax_memory_stats(new Float64Array(AX.MEMORY_STATS), AX.MEMORY_STATS, 0),
      /^cannot start the device: /,
    ],
    trim: [() => library.ax_memory_trim(0), /^cannot start the device: /],
    "another device": [() => library.ax_device_select(1), /^cannot select the GPU: /],
    synchronize: [() => library.ax_device_synchronize(0), /^cannot start the device: /],
    begin: [() => library.ax_graph_begin(0), /^cannot start the device: /],
  };
  for (const [name, [call, sentence]] of Object.entries(calls)) {
    assertEquals(call(), AX.ERROR_DEVICE, name);
    assertMatch(lastError(library), sentence, name);
  }
  assertEquals(await library.ax_device_synchronize_async(0, error, error.length), AX.ERROR_DEVICE);
  assertMatch(readCString(error), /^cannot start the device: /);
});

for (const [backend, open] of Object.entries({ cpu: cpuLibrary, cuda: cudaLibrary })) {
  Deno.test(`no function of the ${backend} library crashes or hangs when all arguments are zero`, async () => {
    const library = open();
    for (const [name, { parameters }] of Object.entries(symbols)) {
      const values = parameters.map((type) => type === "buffer" ? new Float64Array(64) : 0);
      const call = library[name as keyof typeof library] as unknown as (
        ...values: unknown[]
      ) => number | Promise<number>;
      const status = await call(...values);
      assert(Number.isInteger(status) && status >= 0 && status <= AX.ERROR_CAPTURE, `${name} returned ${status}`);
    }
  });
}

Deno.test("devices() lists the CPU, and a GPU that is not there is a DeviceError", () => {
  const names = devices();
  assertEquals(names[0], "cpu");
  assertThrows(() => device("cuda:63"), DeviceError, `this machine has ${names.length - 1} usable GPUs`);
  assertThrows(() => device("gpu" as "cpu"), DeviceError, "names are");
});
