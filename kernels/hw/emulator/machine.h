// An emulated GPU: blocks of threads that run as fibers, in an order that a seed decides, and what they wait for.
//
// It is adversarial where the hardware promises nothing. Threads run in random order and are interleaved at every point where they
// wait; several blocks of several streams are resident at once; shared and fresh device memory hold NaN; work of a stream starts only
// when somebody waits for it. Where all threads wait for each other it says who waits for what, and the launch fails.
//
// One thread of the host at a time runs the machine. ACCELERATE_EMULATOR_SEED chooses another order.
#ifndef AX_HW_EMULATOR_MACHINE_H_
#define AX_HW_EMULATOR_MACHINE_H_
#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hw/emulator/types.h"

namespace hw::emulator {

struct Block;
struct Thread;

constexpr unsigned kWarpSize = 32;
constexpr int kPoison = 0xff;  // NaN in every floating dtype, -1 as an integer
constexpr size_t kMaxExchangedBytes = 64;

// Threads that wait for the same thing.
struct WaitList {
  std::vector<Thread*> threads;
};

// A named barrier of a block.
struct Barrier {
  unsigned arrived = 0, expected = 0;
  WaitList waiting;
};

// A meeting of the lanes of `mask`: each leaves a value and sees those of the others. A lane that goes on can be ahead by one meeting
// only, so two sets of values suffice.
struct Meeting {
  uint32_t mask = 0, arrived = 0;
  unsigned turn = 0;
  const char* operation = nullptr;
  WaitList waiting;
  alignas(16) char values[2][kWarpSize][kMaxExchangedBytes];
};

struct Warp {
  std::vector<std::unique_ptr<Meeting>> meetings;
};

// A copy to shared memory that the thread has begun and that lands when the thread waits for it. Bytes beyond `source_bytes` become 0.
struct PendingCopy {
  char* to;
  const char* from;
  uint32_t bytes, source_bytes;
};

// Work that the thread has begun and that happens when it waits for it.
using PendingWork = std::function<void()>;

struct Thread {
  Block* block = nullptr;
  uint3 index{};
  unsigned rank = 0;  // in the block
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  bool is_done = false, is_yielding = false;
  const char* waits_for = nullptr;
  bool has_fenced_products = false;
  std::vector<PendingCopy> open_copies;                 // not committed yet
  std::vector<PendingWork> open_stores, open_products;
  std::vector<std::vector<PendingWork>> store_groups, product_groups;
  std::map<float*, std::vector<float>> product_sums;    // what accumulators hold while products are under way
  std::vector<std::vector<PendingCopy>> copy_groups;    // committed, the oldest first
};

// Shared memory of a block; the tag of dynamic memory is null.
struct SharedVariable {
  const void* tag;
  char* address;
  size_t bytes;
};

// One launch of a kernel.
struct Launch {
  std::function<void()> body;
  dim3 grid, block;
  size_t shared_bytes = 0;
  uint64_t next_block = 0, finished_blocks = 0;
  uint64_t blockCount() const { return uint64_t{grid.x} * grid.y * grid.z; }
};

struct Block {
  std::shared_ptr<Launch> launch;
  uint3 index{};
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Barrier> barriers;
  std::vector<SharedVariable> shared_variables;
  std::vector<std::unique_ptr<char[]>> shared_memory;
  unsigned char* dynamic_shared = nullptr;
  std::vector<PendingWork> landings;  // loads of tiles that have not landed
  WaitList phase_waiters;
  unsigned unfinished = 0;
  uint32_t held_back = 0;  // how often its threads are passed over
};

// The thread that runs. Kernels ask for it at every threadIdx.
extern Thread* g_current;
inline Thread& currentThread() { return *g_current; }

// What the fibers need of the machine.

// The current thread waits until somebody wakes the list. `what` says for whom the report of a deadlock is made.
void wait(WaitList& list, const char* what);
void wakeAll(WaitList& list);

// Lets others run. A loop that waits for another block or another process must call it.
void yield();

// Ends the launch with an error: the kernel did what the hardware forbids.
[[noreturn]] void failKernel(const std::string& message);

void barrier(unsigned id, unsigned expected);

// Leaves `value` for the lanes of `mask` and returns the 32 places where those of all are; valid until the lane's next meeting.
// `finish`, if there is one, turns the values into results at the moment when the last lane has come.
using ExchangedValue = char[kMaxExchangedBytes];
const ExchangedValue* meet(uint32_t mask, const void* value, size_t bytes, const char* operation, void (*finish)(ExchangedValue*) = nullptr);

// Fails unless the bytes lie in one variable of the block's shared memory and the address is a multiple of `alignment`.
void checkShared(const void* address, size_t bytes, size_t alignment, const char* operation);

// The variable of the current block that `tag` stands for, filled with NaN when it is first seen.
char* sharedVariable(const void* tag, size_t bytes);

// A number below `limit` from the machine's generator.
uint32_t randomBelow(uint32_t limit);

// A kernel that a stream has started. step() runs threads for a while; false when nothing could run.
class Machine {
 public:
  static Machine& instance();

  // Makes blocks of the launch resident and runs threads of any. Returns whether something was done.
  void add(std::shared_ptr<Launch> launch);
  bool step();
  bool isIdle() const { return launches_.empty(); }
  bool isSpinning() const;
  // What ended a kernel, until it is taken.
  std::string takeError();

 private:
  friend void wait(WaitList&, const char*);
  friend void wakeAll(WaitList&);
  friend void yield();
  friend void failKernel(const std::string&);
  friend void threadEntry();

  void makeResident();
  bool isHeldBack(Block& block);
  void landOne();
  bool hasLandings() const;
  void run(Thread* thread);
  void retire(Block* block);
  void abandon(const std::string& message);
  std::string describeWaiting() const;

  std::vector<std::shared_ptr<Launch>> launches_;
  std::vector<std::unique_ptr<Block>> resident_;
  std::vector<Thread*> ready_;
  void* scheduler_ = nullptr;
  unsigned yields_in_row_ = 0;
  std::string error_;
};

}  // namespace hw::emulator

#endif  // AX_HW_EMULATOR_MACHINE_H_
