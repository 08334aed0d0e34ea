// Fibers: threads of an emulated GPU that switch by hand, inside one thread of the host.
#ifndef AX_HW_EMULATOR_FIBER_H_
#define AX_HW_EMULATOR_FIBER_H_
#include <stddef.h>

namespace hw::emulator {

// Saves the registers that a call keeps and the stack, stores where in *from, and goes on at `to`.
extern "C" void ax_hw_switch(void** from, void* to);

// A stack of its own, from a pool.
char* takeStack();
void giveStack(char* stack);

// What to switch to so that `entry`, which never returns, begins on the stack.
void* startOf(char* stack, void (*entry)());

}  // namespace hw::emulator

#endif  // AX_HW_EMULATOR_FIBER_H_
