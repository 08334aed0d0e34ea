import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Accelerator,
  data,
  DeviceError,
  manualSeed,
  memoryStats,
  nn,
  ones,
  optim,
  rand,
  randint,
  randn,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { chooseDevice } from "../../src/accelerator/placement.ts";
import { assertClose } from "../_support/close.ts";
import { testDevices } from "../_support/devices.ts";
import { emulatedTest, runEmulated } from "../_support/emulated.ts";

const gpus = testDevices(import.meta.url).filter((device) => device !== "cpu");
const place = { rank: 0, localRank: 0, worldSize: 1, localWorldSize: 1, masterAddress: "", masterPort: 0 };
const alone = { ...place, storeSecret: undefined, launched: false };

for (const device of gpus) {
  Deno.test(`a seed gives the same random numbers on the CPU and on a GPU (${device})`, () => {
    const draw = (where: "cpu" | typeof device): Tensor[] => {
      manualSeed(2 ** 33 + 7);
      const options = { device: where };
      const x = ones([37], options);
      return [
        rand([1001], options),
        randint(-5, 1000, [77], options),
        nn.functional.dropout(x, { p: 0.4, training: true }),
        rand([13], { ...options, dtype: "bfloat16" }).to({ dtype: "float32" }),
        randn([500], options),
      ];
    };
    const [onCpu, onGpu] = [draw("cpu"), draw(device)];
    for (let i = 0; i < 4; i++) assertEquals(onGpu[i].data(), onCpu[i].data());
    // Logarithm, sine and cosine of a GPU differ in the last bit.
    assertClose(onGpu[4], Array.from(onCpu[4].data(), Number), { rtol: 1e-5, atol: 1e-6 });
  });

  Deno.test(`prepare moves parameters, gradients, buffers and the state of an optimizer that has stepped (${device})`, async () => {
    const cpuBefore = memoryStats("cpu").categories;
    const train = (model: nn.Module, optimizer: optim.AdamW, x: Tensor): number => {
      optimizer.zeroGrad();
      const loss = model.forward(x).square().mean();
      loss.backward();
      optimizer.step();
      return loss.item();
    };
    const run = async (moves: boolean): Promise<{ losses: number[]; model: nn.Module }> => {
      manualSeed(4);
      const onCpu = { device: "cpu" } as const;
      const model = new nn.Sequential(new nn.Linear(4, 8), new nn.BatchNorm1d(8), new nn.Tanh(), new nn.Linear(8, 2))
        .to(onCpu);
      const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
      const xs = Array.from({ length: 6 }, () => randn([5, 4], onCpu));
      const losses = xs.slice(0, 3).map((x) => train(model, optimizer, x));
      const [first] = model.parameters();
      const accelerator = new Accelerator({ cpu: !moves });
      const [prepared, samePrepared] = await accelerator.prepare(model, optimizer);
      assert(prepared === model && samePrepared === optimizer && model.parameters()[0] === first);
      const where = accelerator.device;
      assertEquals(where, moves ? device : "cpu");
      for (const x of [...model.parameters(), ...model.buffers(), first.grad!]) assertEquals(x.device, where);
      for (const state of Object.values(optimizer.stateDict().state)) {
        assertEquals((state.exp_avg as Tensor).device, where);
      }
      // Once more changes nothing.
      await accelerator.prepare(model, optimizer);
      losses.push(...xs.slice(3).map((x) => train(model, optimizer, x.to({ device: where }))));
      return { losses, model };
    };
    const [expected, actual] = [await run(false), await run(true)];
    // Sums in another order.
    actual.losses.forEach((loss, i) => assert(Math.abs(loss - expected.losses[i]) < 1e-5 * expected.losses[i], `${i}`));
    assertThrows(
      () => actual.model.forward(ones([2, 4], { device: "cpu" })),
      DeviceError,
      "a loader prepared by the Accelerator places its batches on the model's device",
    );
    assert(cpuBefore.parameter.storages <= memoryStats("cpu").categories.parameter.storages);
  });

  Deno.test(`prepared loaders place tensors of any structure on the device (${device})`, async () => {
    class Records extends data.Dataset<{ pair: [Tensor, number]; name: string }> {
      override readonly length = 5;
      override get(i: number): { pair: [Tensor, number]; name: string } {
        return { pair: [tensor([i, i + 1], { device: "cpu" }), i], name: `n${i}` };
      }
    }
    const accelerator = new Accelerator();
    for (const prefetch of [0, 2]) {
      const loader = new data.DataLoader(new Records(), { batchSize: 2, prefetch });
      await accelerator.prepare(loader);
      const seen: unknown[] = [];
      for await (const { pair: [x, y], name } of loader) {
        assertEquals([x.device, y.device], [device, device]);
        seen.push(x.toArray(), y.toArray(), name);
      }
      assertEquals(seen.slice(0, 3), [[[0, 1], [1, 2]], [0, 1], ["n0", "n1"]]);
      assertEquals(seen.length, 9);
    }
    await accelerator.end();
  });

  Deno.test(`the CPU is chosen by option or variable, and a GPU by the local rank (${device})`, () => {
    assertEquals(new Accelerator().device, device);
    assertEquals(new Accelerator().distributedType, "NO");
    assertEquals(new Accelerator({ cpu: true }).device, "cpu");
    const tooMany = { ...alone, rank: 70, localRank: 70, worldSize: 71, localWorldSize: 71 };
    assertThrows(
      () => chooseDevice(tooMany, undefined),
      DeviceError,
      "Cannot give the process of local rank 70 a GPU: this machine shows",
    );
    assertEquals(chooseDevice(tooMany, true).type, "cpu");
  });
}

emulatedTest(
  "ACCELERATE_USE_CPU keeps a script on the CPU, and ACCELERATE_SHARE_GPU lets ranks share a GPU",
  async () => {
    const script = `
    import { Accelerator } from "$mod";
    console.log(new Accelerator().device);
  `;
    const rank1 = {
      RANK: "1",
      LOCAL_RANK: "1",
      WORLD_SIZE: "2",
      LOCAL_WORLD_SIZE: "2",
      MASTER_ADDR: "127.0.0.1",
      MASTER_PORT: "1",
    };
    const secret = { ACCELERATE_STORE_SECRET: "s" };
    assertEquals(await runEmulated(script), "cuda:0\n");
    assertEquals(await runEmulated(script, { ACCELERATE_USE_CPU: "1" }), "cpu\n");
    assertEquals(await runEmulated(script, { ...rank1, ...secret, ACCELERATE_EMULATED_GPUS: "2" }), "cuda:1\n");
    assertEquals(await runEmulated(script, { ...rank1, ...secret, ACCELERATE_SHARE_GPU: "1" }), "cuda:0\n");
  },
);
