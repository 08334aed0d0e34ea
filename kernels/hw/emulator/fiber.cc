#include "hw/emulator/fiber.h"

#include <stdint.h>
#include <sys/mman.h>

#include <vector>

// The registers that the System V ABI makes a function keep. Rounding modes are the same in all fibers.
asm(R"(
.text
.globl ax_hw_switch
.hidden ax_hw_switch
.type ax_hw_switch, @function
ax_hw_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size ax_hw_switch, .-ax_hw_switch
)");

namespace hw::emulator {
namespace {

constexpr size_t kStackBytes = 128 << 10, kGuardBytes = 4 << 10;

std::vector<char*>& pool() {
  static std::vector<char*>* const stacks = new std::vector<char*>;
  return *stacks;
}

}  // namespace

char* takeStack() {
  if (!pool().empty()) {
    char* const stack = pool().back();
    pool().pop_back();
    return stack;
  }
  void* const memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) __builtin_trap();
  mprotect(memory, kGuardBytes, PROT_NONE);  // an overflow stops here
  return static_cast<char*>(memory);
}

void giveStack(char* stack) { pool().push_back(stack); }

void* startOf(char* stack, void (*entry)()) {
  constexpr int kSavedRegisters = 6;
  uint64_t* top = reinterpret_cast<uint64_t*>(stack + kStackBytes);
  *--top = 0;  // where `entry` would return to; keeps its frame aligned
  *--top = reinterpret_cast<uint64_t>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = 0;
  return top;
}

}  // namespace hw::emulator
