#include "hw/emulator/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "hw/emulator/fiber.h"

namespace hw::emulator {
namespace {

constexpr size_t kMaxResidentBlocks = 3;
constexpr unsigned kBarriers = 16;
constexpr uint32_t kEarlyLanding = 8;  // one step in so many lets a load of a tile land before it must

// Empty groups of copies may be left, for a pipeline closes one in every turn.
bool hasWorkUnderWay(const Thread& thread) {
  const auto is_open = [](const auto& groups) { return std::any_of(groups.begin(), groups.end(), [](auto& group) { return !group.empty(); }); };
  return !thread.open_copies.empty() || !thread.open_stores.empty() || !thread.open_products.empty() || is_open(thread.copy_groups) ||
         is_open(thread.store_groups) || is_open(thread.product_groups);
}

uint64_t& generator() {
  static uint64_t state = [] {
    const char* seed = getenv("ACCELERATE_EMULATOR_SEED");
    return 0x9e3779b97f4a7c15ull * (1 + (seed == nullptr ? 0 : strtoull(seed, nullptr, 10)));
  }();
  return state;
}

size_t aligned(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

uint32_t randomBelow(uint32_t limit) {
  uint64_t& x = generator();  // xorshift64
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return static_cast<uint32_t>((x >> 32) * limit >> 32);
}

Thread* g_current = nullptr;

Machine& Machine::instance() {
  static Machine* const machine = new Machine;
  return *machine;
}

// The first function on a fiber's stack.
void threadEntry() {
  Machine& machine = Machine::instance();
  g_current->block->launch->body();
  Thread* const thread = g_current;
  thread->is_done = true;
  void* nowhere;
  ax_hw_switch(&nowhere, machine.scheduler_);
  __builtin_trap();
}

void wait(WaitList& list, const char* what) {
  Machine& machine = Machine::instance();
  Thread* const thread = g_current;
  thread->waits_for = what;
  list.threads.push_back(thread);
  ax_hw_switch(&thread->stack_pointer, machine.scheduler_);
}

void wakeAll(WaitList& list) {
  Machine& machine = Machine::instance();
  machine.ready_.insert(machine.ready_.end(), list.threads.begin(), list.threads.end());
  list.threads.clear();
}

void yield() {
  Machine& machine = Machine::instance();
  Thread* const thread = g_current;
  thread->is_yielding = true;
  machine.ready_.push_back(thread);
  ax_hw_switch(&thread->stack_pointer, machine.scheduler_);
}

void failKernel(const std::string& message) {
  Machine& machine = Machine::instance();
  const Thread& thread = *g_current;
  const uint3 block = thread.block->index;
  char where[128];
  snprintf(where, sizeof where, "block (%u, %u, %u), thread (%u, %u, %u): ", block.x, block.y, block.z, thread.index.x, thread.index.y,
           thread.index.z);
  machine.error_ = where + message;
  void* nowhere;
  ax_hw_switch(&nowhere, machine.scheduler_);
  __builtin_trap();
}

void barrier(unsigned id, unsigned expected) {
  Block& block = *currentThread().block;
  if (id >= kBarriers) failKernel("barrier " + std::to_string(id) + " does not exist");
  Barrier& b = block.barriers[id];
  if (b.arrived > 0 && b.expected != expected) {
    failKernel("threads meet at barrier " + std::to_string(id) + " for " + std::to_string(b.expected) + " and for " + std::to_string(expected));
  }
  b.expected = expected;
  if (++b.arrived < expected) return wait(b.waiting, "a barrier");
  b.arrived = 0;
  wakeAll(b.waiting);
}

const ExchangedValue* meet(uint32_t mask, const void* value, size_t bytes, const char* operation, void (*finish)(ExchangedValue*)) {
  const Thread& thread = currentThread();
  Block& block = *thread.block;
  const unsigned warp_first = thread.rank / kWarpSize * kWarpSize, lane = thread.rank - warp_first;
  const unsigned lanes = std::min<unsigned>(kWarpSize, static_cast<unsigned>(block.threads.size()) - warp_first);
  if (lanes < kWarpSize) mask &= (1u << lanes) - 1;
  if ((mask >> lane & 1) == 0) failKernel(std::string(operation) + ": the lane is not in its own mask");
  Warp& warp = block.warps[thread.rank / kWarpSize];
  Meeting* meeting = nullptr;
  for (auto& known : warp.meetings) {
    if (known->mask == mask) meeting = known.get();
  }
  if (meeting == nullptr) {
    warp.meetings.push_back(std::make_unique<Meeting>());
    meeting = warp.meetings.back().get();
    meeting->mask = mask;
  }
  if (meeting->arrived != 0 && strcmp(meeting->operation, operation) != 0) {
    failKernel(std::string("lanes of a warp meet in ") + meeting->operation + " and in " + operation);
  }
  meeting->operation = operation;
  auto& values = meeting->values[meeting->turn];
  memcpy(values[lane], value, bytes);
  meeting->arrived |= 1u << lane;
  if (meeting->arrived != mask) {
    wait(meeting->waiting, operation);
  } else {
    if (finish != nullptr) finish(values);
    meeting->arrived = 0;
    meeting->turn ^= 1;
    wakeAll(meeting->waiting);
  }
  return values;
}

char* sharedVariable(const void* tag, size_t bytes) {
  Block& block = *currentThread().block;
  for (const SharedVariable& variable : block.shared_variables) {
    if (variable.tag == tag) return variable.address;
  }
  constexpr size_t kAlignment = 128;
  block.shared_memory.emplace_back(new char[bytes + kAlignment]);
  char* const address = reinterpret_cast<char*>(aligned(reinterpret_cast<uintptr_t>(block.shared_memory.back().get()), kAlignment));
  memset(address, kPoison, bytes);
  block.shared_variables.push_back({tag, address, bytes});
  return address;
}

void checkShared(const void* address, size_t bytes, size_t alignment, const char* operation) {
  const char* const first = static_cast<const char*>(address);
  if (reinterpret_cast<uintptr_t>(first) % alignment != 0) {
    failKernel(std::string(operation) + ": the address in shared memory is not a multiple of " + std::to_string(alignment));
  }
  for (const SharedVariable& variable : currentThread().block->shared_variables) {
    if (first >= variable.address && first + bytes <= variable.address + variable.bytes) return;
  }
  failKernel(std::string(operation) + ": the address is outside the block's shared memory");
}

void Machine::add(std::shared_ptr<Launch> launch) { launches_.push_back(std::move(launch)); }

// One more block of some launch, if there is room.
void Machine::makeResident() {
  std::vector<Launch*> open, absent;
  for (auto& launch : launches_) {
    if (launch->next_block == launch->blockCount()) continue;
    open.push_back(launch.get());
    if (launch->next_block == launch->finished_blocks) absent.push_back(launch.get());
  }
  // Every launch has at least one block, so that kernels that wait for each other can.
  if (!absent.empty()) {
    open = absent;
  } else if (open.empty() || resident_.size() >= kMaxResidentBlocks) {
    return;
  }
  Launch* chosen = open[randomBelow(static_cast<uint32_t>(open.size()))];
  const auto owner = std::find_if(launches_.begin(), launches_.end(), [=](auto& launch) { return launch.get() == chosen; });
  auto block = std::make_unique<Block>();
  const uint64_t number = chosen->next_block++;
  block->launch = *owner;
  block->index = {static_cast<unsigned>(number % chosen->grid.x), static_cast<unsigned>(number / chosen->grid.x % chosen->grid.y),
                  static_cast<unsigned>(number / chosen->grid.x / chosen->grid.y)};
  const dim3 size = chosen->block;
  const unsigned threads = size.x * size.y * size.z;
  block->threads.resize(threads);
  block->warps.resize((threads + kWarpSize - 1) / kWarpSize);
  block->barriers.resize(kBarriers);
  block->unfinished = threads;
  if (chosen->shared_bytes > 0) {
    constexpr size_t kAlignment = 1024;
    block->shared_memory.emplace_back(new char[chosen->shared_bytes + kAlignment]);
    block->dynamic_shared = reinterpret_cast<unsigned char*>(
        aligned(reinterpret_cast<uintptr_t>(block->shared_memory.back().get()), kAlignment));
    memset(block->dynamic_shared, kPoison, chosen->shared_bytes);
    block->shared_variables.push_back({nullptr, reinterpret_cast<char*>(block->dynamic_shared), chosen->shared_bytes});
  }
  for (unsigned rank = 0; rank < threads; ++rank) {
    Thread& thread = block->threads[rank];
    thread.block = block.get();
    thread.rank = rank;
    thread.index = {rank % size.x, rank / size.x % size.y, rank / size.x / size.y};
    ready_.push_back(&thread);
  }
  resident_.push_back(std::move(block));
}

void Machine::run(Thread* thread) {
  if (thread->stack == nullptr) {
    thread->stack = takeStack();
    thread->stack_pointer = startOf(thread->stack, threadEntry);
  }
  thread->waits_for = nullptr;
  g_current = thread;
  ax_hw_switch(&scheduler_, thread->stack_pointer);
  g_current = nullptr;
}

void Machine::retire(Block* block) {
  Launch* const launch = block->launch.get();
  if (++launch->finished_blocks == launch->blockCount()) {
    launches_.erase(std::find_if(launches_.begin(), launches_.end(), [=](auto& known) { return known.get() == launch; }));
  }
  resident_.erase(std::find_if(resident_.begin(), resident_.end(), [=](auto& known) { return known.get() == block; }));
}

// Kernels that wait for each other: now and then a block stops for long, in which the others get as far ahead as they can.
bool Machine::isHeldBack(Block& block) {
  if (launches_.size() < 2) return false;
  if (block.held_back > 0) {
    --block.held_back;
    return true;
  }
  constexpr uint32_t kOneIn = 512, kLongest = 20000;
  if (randomBelow(kOneIn) == 0) block.held_back = randomBelow(kLongest);
  return false;
}

bool Machine::hasLandings() const {
  return std::any_of(resident_.begin(), resident_.end(), [](auto& block) { return !block->landings.empty(); });
}

// Lets one load of a tile land, of any block.
void Machine::landOne() {
  if (!hasLandings()) return;
  Block* block;
  do {
    block = resident_[randomBelow(static_cast<uint32_t>(resident_.size()))].get();
  } while (block->landings.empty());
  const uint32_t chosen = randomBelow(static_cast<uint32_t>(block->landings.size()));
  const PendingWork landing = std::move(block->landings[chosen]);
  block->landings.erase(block->landings.begin() + chosen);
  landing();
}

bool Machine::step() {
  if (launches_.empty()) return false;
  makeResident();
  if (ready_.empty() || randomBelow(kEarlyLanding) == 0) landOne();
  if (ready_.empty() && !hasLandings()) {
    abandon("deadlock: " + describeWaiting());
    return true;
  }
  constexpr int kThreadsInStep = 512;
  for (int i = 0; i < kThreadsInStep && !ready_.empty(); ++i) {
    const uint32_t chosen = randomBelow(static_cast<uint32_t>(ready_.size()));
    Thread* const thread = ready_[chosen];
    if (isHeldBack(*thread->block)) continue;
    ready_[chosen] = ready_.back();
    ready_.pop_back();
    run(thread);
    if (!error_.empty()) {
      abandon(error_);
      return true;
    }
    yields_in_row_ = thread->is_yielding ? yields_in_row_ + 1 : 0;
    thread->is_yielding = false;
    if (!thread->is_done) continue;
    if (hasWorkUnderWay(*thread)) {
      abandon("a thread ended before its asynchronous copies, stores or products");
      return true;
    }
    giveStack(thread->stack);
    if (--thread->block->unfinished == 0) {
      if (!thread->block->landings.empty()) {
        abandon("a block ended before its loads of tiles");
        return true;
      }
      retire(thread->block);
      break;
    }
  }
  return true;
}

bool Machine::isSpinning() const { return yields_in_row_ > 2 * ready_.size(); }

void Machine::abandon(const std::string& message) {
  error_ = message;
  for (auto& block : resident_) {
    for (Thread& thread : block->threads) {
      if (thread.stack != nullptr && !thread.is_done) giveStack(thread.stack);
    }
  }
  ready_.clear();
  resident_.clear();
  launches_.clear();
}

std::string Machine::takeError() {
  std::string message;
  message.swap(error_);
  return message;
}

std::string Machine::describeWaiting() const {
  std::string text;
  for (auto& block : resident_) {
    std::vector<std::pair<std::string, unsigned>> counts;
    for (const Thread& thread : block->threads) {
      const std::string what = thread.is_done ? "have ended" : std::string("wait for ") + (thread.waits_for == nullptr ? "?" : thread.waits_for);
      const auto known = std::find_if(counts.begin(), counts.end(), [&](auto& entry) { return entry.first == what; });
      if (known == counts.end()) {
        counts.push_back({what, 1});
      } else {
        ++known->second;
      }
    }
    text += "block (" + std::to_string(block->index.x) + ", " + std::to_string(block->index.y) + ", " + std::to_string(block->index.z) + "):";
    for (auto& [what, count] : counts) text += " " + std::to_string(count) + " threads " + what + ",";
    text.back() = ';';
    text += " ";
  }
  return text;
}

}  // namespace hw::emulator
