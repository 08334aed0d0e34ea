import { assert, assertEquals, assertMatch } from "@std/assert";
import { check } from "../../ffi/call.ts";
import { AX } from "../../ffi/constants.ts";
import { device as findDevice, empty, full, memoryStats, type Tensor, tensor, zeros } from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";
import { emulatedTest, runEmulated } from "../_support/emulated.ts";
import { Random } from "../_support/random.ts";

const gpus = testDevices(import.meta.url).filter((device) => device !== "cpu");

for (const device of gpus) {
  const { library, index } = findDevice(device);

  Deno.test(`blocks of any size never overlap, in any order of release (${device})`, () => {
    const random = new Random(11);
    const live: { x: Tensor; value: number }[] = [];
    const verify = ({ x, value }: { x: Tensor; value: number }): void => {
      assertEquals([x.min().item(), x.max().item()], [value, value], `${x.size} elements`);
      x.dispose();
    };
    for (let value = 0; value < 300; value++) {
      // From a few bytes over the largest small block (256 KiB) to segments of their own (10 MiB), small ones more often.
      const size = Math.floor(2 ** (random.next() * (value % 20 === 0 ? 22 : 15))) + 1;
      live.push({ x: full([size], value, { device }).keep(), value });
      while (live.length > 40) verify(live.splice(Math.floor(random.next() * live.length), 1)[0]);
    }
    for (const entry of live) verify(entry);
  });

  Deno.test(`released memory is used again, and a loop asks the driver for nothing (${device})`, () => {
    const sizes = [1, 100, 5000, 70_000, 300_000, 3_000_000];
    const round = (): void => {
      const tensors = sizes.map((size) => empty([size], { device }).keep());
      for (const x of tensors) x.dispose();
    };
    round();
    const { reservedBytes, liveBytes } = memoryStats(device);
    for (let i = 0; i < 50; i++) round();
    const after = memoryStats(device);
    assertEquals([after.reservedBytes, after.liveBytes], [reservedBytes, liveBytes]);
    assert(after.cachedBytes > 0);
  });

  Deno.test(`neighbours that are free become one block again (${device})`, () => {
    check(library.ax_memory_trim(index), "ax_memory_trim", library);
    const parts = Array.from({ length: 6 }, () => empty([750_000], { device }).keep());
    const { reservedBytes } = memoryStats(device);
    for (const x of parts) x.dispose();
    // 9 MiB do not fit into one part of 3 MiB.
    const whole = empty([9 << 18], { device }).keep();
    assertEquals(memoryStats(device).reservedBytes, reservedBytes);
    whole.dispose();
  });

  Deno.test(`the peak and the categories are counted for the device (${device})`, () => {
    check(library.ax_memory_trim(index), "ax_memory_trim", library);
    const before = memoryStats(device);
    assertEquals(before.peakBytes, before.liveBytes);
    const x = zeros([1000], { device }).keep();
    x.dispose();
    const after = memoryStats(device);
    assertEquals([after.peakBytes - before.peakBytes, after.liveBytes], [4000, before.liveBytes]);
    assertEquals(after.categories, before.categories);
    assert(after.totalBytes >= after.freeBytes + after.reservedBytes);
  });

  Deno.test(`copies are whole and in order, whatever their size, and the host's memory may be reused at once (${device})`, () => {
    // The staging ring has four chunks of 4 MiB.
    for (const size of [1, 3, 1000, (4 << 20) - 1, (4 << 20) + 1, (17 << 20) + 5]) {
      const bytes = new Uint8Array(size);
      for (let i = 0; i < size; i++) bytes[i] = i * 31 + (i >> 12);
      const expected = bytes.slice();
      const x = tensor(bytes, { device });
      bytes.fill(0);
      const read = x.data() as Uint8Array<ArrayBuffer>;
      const wrong = read.findIndex((value, i) => value !== expected[i]);
      assertEquals([read.length, wrong], [size, -1]);
      const host = x.narrow(0, size >> 1, size - (size >> 1)).to({ device: "cpu" });
      assertEquals((host.data() as Uint8Array).findIndex((value, i) => value !== expected[(size >> 1) + i]), -1);
      const again = host.to({ device });
      assertEquals((again.data() as Uint8Array).findIndex((value, i) => value !== expected[(size >> 1) + i]), -1);
      for (const t of [x, host, again]) t.dispose();
    }
  });

  Deno.test(`wrong arguments of the memory functions are refused (${device})`, () => {
    const id = new Uint32Array(1);
    const calls: Record<string, number> = {
      device: library.ax_storage_create(id, -1, 8, AX.MEMORY_OTHER),
      "device above": library.ax_storage_create(id, 64, 8, AX.MEMORY_OTHER),
      bytes: library.ax_storage_create(id, index, 0.5, AX.MEMORY_OTHER),
      category: library.ax_storage_create(id, index, 8, AX.MEMORY_CATEGORIES),
      stats: library.ax_memory_stats(new Float64Array(3), 3, index),
      "stats of a device": library.ax_memory_stats(new Float64Array(AX.MEMORY_STATS), AX.MEMORY_STATS, 64),
      trim: library.ax_memory_trim(-1),
    };
    for (const [name, status] of Object.entries(calls)) assertEquals(status, AX.ERROR_ARGUMENT, name);
    assertEquals(library.ax_storage_create(id, 63, 8, AX.MEMORY_OTHER), AX.ERROR_DEVICE);
    assertEquals(library.ax_storage_create(id, index, 2 ** 50, AX.MEMORY_OTHER), AX.ERROR_OUT_OF_MEMORY);
    assertEquals(library.ax_device_synchronize(index), AX.OK);
  });
}

emulatedTest("out of memory gives back what is cached, tries again, and then says what is live", async () => {
  const printed = await runEmulated(
    `
    import { empty, memoryStats, nn, OutOfMemoryError, zeros } from "$mod";
    const device = "cuda:0";
    const MiB = 1 << 18;
    // 48 of 64 MiB, cached as blocks of 12; then one of 40, for which they must go.
    const parts = [1, 2, 3, 4].map(() => empty([12 * MiB], { device }).keep());
    for (const x of parts) x.dispose();
    console.log("cached", memoryStats(device).cachedBytes >= 48 * 2 ** 20);
    const large = empty([40 * MiB], { device }).keep();
    const model = new nn.Linear(1024, 1024).to({ device });
    try {
      empty([30 * MiB], { device });
    } catch (error) {
      console.log(error instanceof OutOfMemoryError, error.message);
    }
    large.dispose();
    console.log("works", empty([30 * MiB], { device }).narrow(0, 5, 3).mul(0).shape);
    // Between the kinds of segments: when nothing else is left, a block that fits badly is taken.
    console.log("small", zeros([1000], { device }).sum().item());
    `,
    { ACCELERATE_EMULATED_MEMORY: String(64 * 2 ** 20) },
  );
  assertMatch(
    printed,
    /^cached true\ntrue Cannot allocate 31457280 bytes on cuda:0: use a smaller batch, or release tensors earlier\.\nlive 44\.\d MiB, cached \d+\.\d MiB, peak \d+\.\d MiB\n {2}parameter +4\.0 MiB in 2 storages\n {2}activation +40\.0 MiB in 1 storages\n {2}the device has \d+\.\d MiB free of 64\.0 MiB\nworks \[ 3 \]\nsmall 0\n$/,
  );
});

emulatedTest(
  "a step that needs more memory than there is while it is recorded fails as it should, and the next one works",
  async () => {
    const printed = await runEmulated(
      `
    import { Accelerator, ones, OutOfMemoryError } from "$mod";
    const accelerator = new Accelerator();
    let size = 1000;
    const step = accelerator.capture((x) => x.mul(ones([size, 1], { device: accelerator.device })).sum());
    const x = ones([1, 1000], { device: accelerator.device }).keep();
    console.log(step(x).item());
    size = 40000;
    try {
      step(x);
    } catch (error) {
      console.log(error instanceof OutOfMemoryError, error.message.split("\\n")[0]);
    }
    size = 1000;
    console.log(step(x).item(), step(x).item());
    `,
      { ACCELERATE_EMULATED_MEMORY: String(64 * 2 ** 20) },
    );
    assertEquals(
      printed,
      "1000000\ntrue Cannot allocate 160000000 bytes on cuda:0: use a smaller batch, or release tensors earlier.\n1000000 1000000\n",
    );
  },
);

emulatedTest(
  "several GPUs work in one process: memory, operations, copies between them, and captured steps",
  async () => {
    const printed = await runEmulated(
      `
    import { Accelerator, DeviceError, devices, manualSeed, memoryStats, nn, ones, optim, randn, tensor } from "$mod";
    console.log(devices().join());
    const [a, b] = [ones([1000], { device: "cuda:0" }), tensor([1, 2, 3], { device: "cuda:1" })];
    console.log(memoryStats("cuda:0").liveBytes, memoryStats("cuda:1").liveBytes, memoryStats("cuda:1").categories.activation.bytes);
    for (let i = 0; i < 3; i++) console.log(a.sum().item(), b.mul(2).toArray(), a.add(i).max().item());
    console.log(b.to({ device: "cuda:0" }).add(1).toArray(), a.narrow(0, 0, 3).to({ device: "cuda:1" }).add(b).toArray());
    try {
      a.narrow(0, 0, 3).add(b);
    } catch (error) {
      console.log(error instanceof DeviceError, error.message);
    }
    const losses = ["cuda:0", "cuda:1", "cpu"].map((device) => {
      manualSeed(1);
      const model = new nn.Linear(4, 2).to({ device });
      const optimizer = new optim.AdamW(model.parameters());
      const x = randn([8, 4]).to({ device });
      return [1, 2, 3].map(() => {
        optimizer.zeroGrad();
        const loss = model.forward(x).square().mean();
        loss.backward();
        optimizer.step();
        return loss.item().toFixed(5);
      }).join();
    });
    console.log(new Set(losses).size);
    `,
      { ACCELERATE_EMULATED_GPUS: "2" },
    );
    const [names, bytes, ...rest] = printed.trimEnd().split("\n");
    assertEquals(names, "cpu,cuda:0,cuda:1");
    assertEquals(bytes, "4000 12 12");
    assertEquals(rest.slice(0, 3), [0, 1, 2].map((i) => `1000 [ 2, 4, 6 ] ${1 + i}`));
    assertEquals(rest[3], "[ 2, 3, 4 ] [ 2, 3, 4 ]");
    assertMatch(
      rest[4],
      /^true Cannot compute add of tensors on cuda:0 and cuda:1: they must be on one device\. .*prepared by the Accelerator/,
    );
    assertEquals(rest[5], "1");
  },
);
