import { assertEquals, assertThrows } from "@std/assert";
import { defaultDevice, DeviceError, devices, memoryStats, nn, ones, setDefaultDevice, tensor } from "../../mod.ts";

Deno.test("setDefaultDevice() says where tensors, modules and memoryStats() are when no device is given", () => {
  const before = defaultDevice().toString();
  try {
    for (const name of devices()) {
      setDefaultDevice(name);
      assertEquals(defaultDevice().toString(), name);
      const layer = new nn.Linear(2, 2);
      assertEquals([tensor([1]).device, layer.weight.device], [name, name]);
      assertEquals(ones([2], { device: "cpu" }).device, "cpu");
      const live = memoryStats().liveBytes;
      const x = ones([1000]);
      assertEquals(memoryStats().liveBytes - live, 4000);
      x.dispose();
    }
    assertThrows(() => setDefaultDevice("cuda:63"), DeviceError, "usable GPUs");
  } finally {
    setDefaultDevice(before);
  }
});
