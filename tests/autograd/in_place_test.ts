import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  arange,
  AutogradError,
  type DeviceName,
  DTypeError,
  nn,
  noGrad,
  ones,
  optim,
  ShapeError,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import { testDevices } from "../_support/devices.ts";

// Expected values and refusals are PyTorch 2.13's; the Python is beside those that are not obvious.

const STALE = "has been modified by an inplace operation";

function leaf(values: number[], device: DeviceName): Tensor {
  return tensor(values, { dtype: "float64", requiresGrad: true, device });
}

for (const device of testDevices(import.meta.url)) {
  const test = (name: string, fn: () => void): void => Deno.test(`${name} (${device})`, fn);

  test("backward names the operation that saved a tensor and the one that changed it since", () => {
    const x = leaf([1, 2, 3], device);
    const y = x.mul(3);
    const z = y.mul(y);
    y.add_(1);
    const error = assertThrows(() => z.sum().backward(), AutogradError, STALE);
    assert(/through mul.*shape \(3\), and add_ changed it/.test(error.message), error.message);
  });

  test("versions count every change, through views and detached tensors, recorded or not", () => {
    const x = tensor([1, 2, 3, 4], { device });
    assertEquals(x.version, 0);
    x.add_(1);
    x.narrow(0, 1, 2).mul_(2);
    noGrad(() => x.detach().select(0, 0).zero_());
    assertEquals([x.version, x.narrow(0, 0, 1).version, x.clone().version], [3, 3, 0]);
  });

  test("backward through weights that an optimizer has changed since is an error", () => {
    // w @ x, backward(retain_graph=True), step(), backward() -> "... is at version 1; expected version 0 instead"
    const w = tensor([[1, 2], [3, 4]], { requiresGrad: true, device });
    const x = tensor([[1, 2], [3, 4]], { requiresGrad: true, device });
    const optimizer = new optim.SGD([w], { lr: 0.1 });
    const loss = x.matmul(w).sum();
    loss.backward({ retainGraph: true });
    optimizer.step();
    assertThrows(() => loss.backward(), AutogradError, "an optimizer's step() changed it");
  });

  test("a change of one flat parameter does not make another one stale", () => {
    const a = tensor([1, 2], { requiresGrad: true, device });
    const b = tensor([3, 4], { requiresGrad: true, device });
    new optim.SGD([a, b]);
    const loss = a.mul(a).sum();
    noGrad(() => b.mul_(2));
    loss.backward();
    assertEquals(a.grad!.toArray(), [2, 4]);
    assertEquals([a.version, b.version], [0, 1]);
  });

  test("operations that need their old input keep a copy of it", () => {
    const gradients: Record<string, [(y: Tensor) => Tensor, number]> = {
      // x = torch.full((1,), 2.); y = x * 0.3; y.log_(); y.add_(1); y.sum().backward(); x.grad
      log_: [(y) => y.log_(), 0.5],
      abs_: [(y) => y.abs_(), 0.3],
      square_: [(y) => y.square_(), 0.36],
      sin_: [(y) => y.sin_(), 0.3 * Math.cos(0.6)],
      cos_: [(y) => y.cos_(), -0.3 * Math.sin(0.6)],
      erf_: [(y) => y.erf_(), 0.3 * 2 / Math.sqrt(Math.PI) * Math.exp(-0.36)],
      log1p_: [(y) => y.log1p_(), 0.1875],
      clamp_: [(y) => y.clamp_({ min: 0.1, max: 0.9 }), 0.3],
      pow_: [(y) => y.pow_(3), 0.324],
      neg_: [(y) => y.neg_(), -0.3],
      floor_: [(y) => y.floor_(), 0],
      ceil_: [(y) => y.ceil_(), 0],
      round_: [(y) => y.round_(), 0],
      sign_: [(y) => y.sign_(), 0],
      add_: [(y) => y.add_(2), 0.3],
      sub_: [(y) => y.sub_(2), 0.3],
      mul_: [(y) => y.mul_(2), 0.6],
      div_: [(y) => y.div_(2), 0.15],
    };
    for (const [name, [change, expected]] of Object.entries(gradients)) {
      const x = leaf([2], device);
      const y = x.mul(0.3);
      assert(change(y) === y);
      y.add_(1);
      y.sum().backward();
      const actual = x.grad!.toArray() as number[];
      assert(Math.abs(actual[0] - expected) < 1e-12, `${name}: ${actual[0]}, PyTorch ${expected}`);
    }
  });

  test("operations that need their output make a further change an error", () => {
    const changes: Record<string, [(y: Tensor) => Tensor, number]> = {
      exp_: [(y) => y.exp_(), 0.3 * Math.exp(0.6)],
      expm1_: [(y) => y.expm1_(), 0.3 * Math.exp(0.6)],
      sqrt_: [(y) => y.sqrt_(), 0.3 / (2 * Math.sqrt(0.6))],
      rsqrt_: [(y) => y.rsqrt_(), -0.15 * 0.6 ** -1.5],
      reciprocal_: [(y) => y.reciprocal_(), -0.3 / 0.36],
      tanh_: [(y) => y.tanh_(), 0.3 * (1 - Math.tanh(0.6) ** 2)],
      relu_: [(y) => y.relu_(), 0.3],
      sigmoid_: [(y) => y.sigmoid_(), 0.3 * Math.exp(-0.6) / (1 + Math.exp(-0.6)) ** 2],
    };
    for (const [name, [change, expected]] of Object.entries(changes)) {
      const x = leaf([2], device);
      change(x.mul(0.3)).sum().backward();
      const actual = x.grad!.toArray() as number[];
      assert(Math.abs(actual[0] - expected) < 1e-12, `${name}: ${actual[0]}, expected ${expected}`);
      const y = change(leaf([2], device).mul(0.3));
      y.add_(1);
      assertThrows(() => y.sum().backward(), AutogradError, STALE, name);
    }
  });

  test("mul_ by another tensor gives both their gradients; by itself it is an error, as in PyTorch", () => {
    // x = full(2.), w = full(5.), y = x * 3; y.mul_(w); y.add_(1); y.sum().backward() -> 15, 6
    const [x, w] = [leaf([2, 2], device), leaf([5, 5], device)];
    const y = x.mul(3);
    y.mul_(w).add_(1);
    y.sum().backward();
    assertEquals([x.grad!.toArray(), w.grad!.toArray()], [[15, 15], [6, 6]]);
    for (const change of [(z: Tensor) => z.mul_(z), (z: Tensor) => z.div_(z)]) {
      assertThrows(() => change(leaf([1, 2], device).mul(1)).sum().backward(), AutogradError, STALE);
    }
    // y.add_(y) needs no values: x.grad = 6
    const a = leaf([1, 1], device);
    const b = a.mul(3);
    b.add_(b);
    b.sum().backward();
    assertEquals(a.grad!.toArray(), [6, 6]);
  });

  test("an operand is broadcast and its gradient summed", () => {
    const [x, w, s] = [leaf([1, 2, 3, 4], device), leaf([10, 20], device), leaf([2], device)];
    const y = x.reshape([2, 2]).mul(1);
    y.mul_(w).pow_(s).sub_(w, { alpha: 2 });
    y.sum().backward();
    // y = (x w)^2 - 2 w
    assertEquals(x.grad!.toArray(), [2 * 100, 2 * 2 * 400, 2 * 3 * 100, 2 * 4 * 400]);
    assertEquals(w.grad!.toArray(), [2 * 10 * (1 + 9) - 4, 2 * 20 * (4 + 16) - 4]);
  });

  test("a change of a view is a change of its base, and other views see it", () => {
    const [x, s] = [leaf([1, 2, 3, 4], device), leaf([5, 6], device)];
    const y = x.mul(2);
    const [left, right] = [y.narrow(0, 0, 2), y.narrow(0, 1, 3)];
    left.mul_(s);
    assertEquals(right.toArray(), [4 * 6, 6, 8]);
    right.square().sum().backward();
    // right = (2 x1 s1, 2 x2, 2 x3)
    assertEquals(x.grad!.toArray(), [0, 2 * 24 * 12, 2 * 6 * 2, 2 * 8 * 2]);
    assertEquals(s.grad!.toArray(), [0, 2 * 24 * 4]);
  });

  test("views of views, transposed and with steps, pass gradients through a change", () => {
    const x = leaf([1, 2, 3, 4, 5, 6], device);
    const y = x.reshape([2, 3]).mul(1);
    y.t().slice({ dim: 0, step: 2 }).select(1, 1).mul_(10);
    assertEquals(y.toArray(), [[1, 2, 3], [40, 5, 60]]);
    y.mul(y.detach()).sum().backward();
    assertEquals(x.grad!.toArray(), [1, 2, 3, 400, 5, 600]);
  });

  test("copy_, zero_, fill_ and maskedFill_ cut the gradient where they write", () => {
    // x = full(2.), s = full(2.), y = x * 3; y[1:].copy_(s); (y * y).sum().backward() -> [36, 0, 0], [4, 4]
    const [x, s] = [leaf([2, 2, 2], device), leaf([2, 2], device)];
    const y = x.mul(3);
    y.narrow(0, 1, 2).copy_(s);
    y.mul(y).sum().backward();
    assertEquals([x.grad!.toArray(), s.grad!.toArray()], [[36, 0, 0], [4, 4]]);
    // y = x * 3; y.fill_(1); y.sum().backward() -> zeros, not None
    const a = leaf([2, 2, 2], device);
    a.mul(3).fill_(1).sum().backward();
    assertEquals(a.grad!.toArray(), [0, 0, 0]);
    const b = leaf([2, 2, 2], device);
    const c = b.mul(3);
    c.narrow(0, 1, 2).zero_();
    c.sum().backward();
    assertEquals(b.grad!.toArray(), [3, 0, 0]);
    const d = leaf([1, 2, 3], device);
    const mask = tensor([1, 0, 1], { dtype: "bool", device });
    const e = d.mul(2).maskedFill_(mask, 7);
    e.mul(e).sum().backward();
    assertEquals([e.toArray(), d.grad!.toArray()], [[7, 4, 7], [0, 16, 0]]);
    const value = leaf([4], device);
    tensor([1, 2], { dtype: "float64", device }).fill_(value.sum()).sum().backward();
    assertEquals(value.grad!.toArray(), [2]);
  });

  test("a plain tensor that receives one with a gradient becomes part of the graph, and so do its views", () => {
    // y = torch.ones(3); v = y[0:2]; u = y[1:]; v.mul_(w) -> v, u, y require grad, none is a leaf
    const y = ones([3], { dtype: "float64", device });
    const [v, u] = [y.narrow(0, 0, 2), y.narrow(0, 1, 2)];
    const w = leaf([2, 3], device);
    v.mul_(w);
    assertEquals([v, u, y].map((t) => [t.requiresGrad, t.isLeaf]), [[true, false], [true, false], [true, false]]);
    u.sum().backward();
    assertEquals(w.grad!.toArray(), [0, 1]);
  });

  test("leaves, their views, views made in noGrad() and views of several are refused", () => {
    const x = leaf([1, 2, 3, 4], device);
    assertThrows(() => x.mul_(2), AutogradError, "Cannot change a leaf that requires a gradient in place with mul_");
    assertThrows(() => x.narrow(0, 0, 2).zero_(), AutogradError, "Cannot change a view of a leaf");
    const y = x.mul(1);
    const hidden = noGrad(() => y.narrow(0, 0, 2));
    // with torch.no_grad(): v = y[0:2]  -> v.requires_grad is True, v.mul_(2) outside is an error
    assertEquals(hidden.requiresGrad, true);
    assertThrows(() => hidden.mul_(2), AutogradError, "the view was made in noGrad()");
    noGrad(() => hidden.mul_(2));
    for (const [name, parts] of [["split", y.split(2)], ["split", y.chunk(2)], ["unbind", y.unbind()]] as const) {
      assertThrows(() => parts[0].mul_(2), AutogradError, `${name}() made it together with other views`);
    }
    // Where no gradient flows they may be changed.
    zeros([4], { device }).split(2)[0].add_(1);
    noGrad(() => x.narrow(0, 0, 2).zero_());
    assertEquals(x.toArray(), [0, 0, 3, 4]);
  });

  test("a detached tensor shares versions but no history", () => {
    // y = x * 3; d = y.detach(); z = y * y; d.mul_(2); z.sum().backward() -> error
    const x = leaf([2, 2], device);
    const y = x.mul(3);
    const z = y.mul(y);
    const d = y.detach();
    assertEquals([d.requiresGrad, d.isLeaf], [false, true]);
    d.mul_(2);
    assertEquals(y.toArray(), [12, 12]);
    assertThrows(() => z.sum().backward(), AutogradError, STALE);
  });

  test("a change of a base that is detached and transposed passes gradients", () => {
    const base = tensor([[1, 2], [3, 4]], { dtype: "float64", device }).t().detach();
    const w = leaf([10, 20], device);
    base.select(0, 1).mul_(w);
    assertEquals(base.toArray(), [[1, 3], [20, 80]]);
    base.mul(base.detach()).sum().backward();
    assertEquals(w.grad!.toArray(), [40, 320]);
  });

  test("result types must be castable, as in PyTorch", () => {
    const int = (): Tensor => tensor([7, 8], { dtype: "int32", device });
    const bool = (): Tensor => tensor([1, 0], { dtype: "bool", device });
    assertThrows(() => int().add_(1.5), DTypeError, "the result type float32 cannot be cast to int32");
    assertThrows(() => int().add_(tensor([1, 2], { device })), DTypeError, "cannot be cast to int32");
    assertThrows(() => int().div_(2), DTypeError, "cannot be cast to int32");
    assertThrows(() => int().exp_(), DTypeError, "cannot be cast to int32");
    assertThrows(() => bool().add_(1), DTypeError, "cannot be cast to bool");
    assertThrows(() => bool().add_(int()), DTypeError, "cannot be cast to bool");
    // torch.ones(3, dtype=uint8).add_(torch.full((3,), 300, dtype=int32)) -> 45
    const byte = tensor([1, 1], { dtype: "uint8", device });
    assertEquals(byte.add_(tensor([300, 1], { dtype: "int32", device })).toArray(), [45, 2]);
    assertEquals(int().mul_(3).sub_(1).clamp_({ max: 22 }).toArray(), [20, 22]);
    const single = tensor([1, 1], { device });
    assertEquals(single.add_(tensor([0.5, 1], { dtype: "float64", device })).dtype, "float32");
    // torch.ones(3, dtype=int32).fill_(5.5) -> 5; masked_fill_(mask, 5.5) -> 5
    assertEquals(int().fill_(5.5).toArray(), [5, 5]);
    assertEquals(int().maskedFill_(bool(), 5.5).toArray(), [5, 8]);
    assertThrows(() => int().maskedFill_(int(), 1), DTypeError, "the mask must be bool");
  });

  test("a tensor of another dtype passes its gradient through the conversion", () => {
    const w = tensor([1, 2], { requiresGrad: true, device });
    const x = leaf([3, 4], device);
    const y = x.mul(1);
    y.mul_(w);
    y.sum().backward();
    assertEquals([w.grad!.dtype, w.grad!.toArray(), x.grad!.toArray()], ["float32", [3, 4], [1, 2]]);
  });

  test("the shape stays: operands that would enlarge the result, and expanded tensors, are refused", () => {
    const x = zeros([1, 3], { device });
    assertThrows(() => x.add_(ones([2, 3], { device })), ShapeError, "the result would have the shape (2, 3)");
    assertThrows(() => zeros([3], { device }).add_(ones([2, 3], { device })), ShapeError, "the shape (2, 3)");
    assertThrows(() => zeros([3], { device }).copy_(ones([2, 3], { device })), ShapeError, "the shape (2, 3)");
    const wide = zeros([1], { device }).expand([3]);
    assertThrows(() => wide.add_(1), ShapeError, "more than one of its elements refers to a single memory location");
    assertThrows(() => wide.copy_(ones([3], { device })), ShapeError, "Call clone() first");
    // torch.ones(1).expand(3).fill_(5.5) is allowed
    assertEquals(wide.fill_(5.5).toArray(), [5.5, 5.5, 5.5]);
    assertEquals(zeros([0, 3], { device }).add_(1).size, 0);
  });

  test("an operand that shares some memory is refused where PyTorch refuses it, and read first elsewhere", () => {
    const a = tensor([0, 1, 2, 3, 4], { device });
    assertThrows(() => a.narrow(0, 1, 4).mul_(a.narrow(0, 0, 4)), ShapeError, "shares some memory with the operand");
    const m = tensor([[1, 2], [3, 4]], { device });
    assertThrows(() => m.mul_(m.t()), ShapeError, "shares some memory with the operand");
    assertEquals(m.mul_(m).toArray(), [[1, 4], [9, 16]]);
    const b = tensor([2, 3, 4], { device });
    assertThrows(() => b.mul_(b.select(0, 2)), ShapeError, "shares some memory with the operand");
    // b[::2].add_(b[1::2]) -> 1, 5, 9, 13
    const c = arange(8, { dtype: "float32", device });
    assertEquals(c.slice({ step: 2 }).add_(c.slice({ start: 1, step: 2 })).toArray(), [1, 5, 9, 13]);
    // b[::2].add_(b[0:4]) is undefined in PyTorch; here the operand is read first.
    const d = arange(8, { dtype: "float32", device });
    assertEquals(d.slice({ step: 2 }).add_(d.narrow(0, 0, 4)).toArray(), [0, 3, 6, 9]);
  });

  test("scalars of different dtypes at the same offset, counted in elements, do not overlap", () => {
    const narrow = tensor(0.5, { device });
    const held = [tensor(0, { dtype: "float64", device })];
    while (held.at(-1)!.offset !== narrow.offset) {
      assert(held.length < 40_000);
      held.push(tensor(held.length, { dtype: "float64", device }));
    }
    const wide = held.at(-1)!;
    assertEquals(wide.unsqueeze(0).copy_(narrow).item(), 0.5);
    assertEquals(narrow.unsqueeze(0).add_(wide).item(), 1);
  });

  test("changes in place train a layer that writes into a buffer", () => {
    const layer = new nn.Linear(2, 2, { bias: false });
    const out = zeros([3, 2]);
    for (let i = 0; i < 3; i++) out.select(0, i).copy_(layer.forward(ones([2]).mul(i)));
    out.sum().backward();
    assertEquals(layer.weight.grad!.toArray(), [[3, 3], [3, 3]]);
  });
}
