/**
 * Giving memory back.
 *
 * @module
 */
import { flushReleases } from "../core/storage.ts";
import { DataLoader } from "../data/data_loader.ts";
import { Module } from "../nn/module.ts";
import { flatten } from "../optim/flat.ts";
import { Optimizer } from "../optim/optimizer.ts";
import { Tensor } from "../tensor.ts";
import type { AcceleratorParts } from "./accelerator.ts";
import { isScheduler } from "./schedulers.ts";

/** Frees what objects hold; memory that parameters share with other models stays. */
function dispose(objects: readonly unknown[]): void {
  const modules = objects.filter((object) => object instanceof Module);
  const parameters = new Set(modules.flatMap((model) => model.parameters()));
  for (const buffer of flatten(parameters)) {
    if (!buffer.parameters.every((parameter) => parameters.has(parameter))) continue;
    for (const parameter of buffer.parameters) parameter.dispose();
    buffer.values.dispose();
    buffer.gradients.dispose();
  }
  for (const tensor of modules.flatMap((model) => model.buffers())) tensor.dispose();
  for (const object of objects) if (object instanceof Tensor || object instanceof Optimizer) object.dispose();
  flushReleases();
}

/** See `Accelerator.freeMemory`. */
export async function freePrepared<T extends unknown[]>(
  { models, gradients, accumulation, loaders, schedulers }: AcceleratorParts,
  objects: T,
): Promise<{ [K in keyof T]: null }> {
  const all = objects.length === 0;
  gradients.release(all ? undefined : objects);
  await loaders.release(all ? undefined : objects.filter((object) => object instanceof DataLoader));
  schedulers.release(all ? undefined : objects.filter(isScheduler));
  accumulation.reset();
  for (const model of [...models]) if (all || objects.includes(model)) models.delete(model);
  dispose(objects);
  return objects.map(() => null) as { [K in keyof T]: null };
}
