// Steps that are recorded as CUDA graphs.
//
// While a thread records, its work is not run but becomes nodes of a graph, its blocks come from a pool that stays with the graph, and waiting
// for the GPU is an error. A call whose numbers differ between replays, such as an optimizer's step or dropout, is a live call (see
// common/live.h): its host part is kept with the addresses of its operands, and runs again before a replay; its launches then give the nodes
// that they made new arguments instead of launching anything. So kernels are the same whether they are recorded or not.
#ifndef AX_CUDA_RECORDING_H_
#define AX_CUDA_RECORDING_H_
#include <stdint.h>

#include "cuda/device.h"

namespace ax {

// Whether the calling thread records a step.
bool isRecording();
// The pool and the scratch memory of the step that the calling thread records; the pool is null for another device than the step's.
Allocator::Pool* recordingPool(const Device& device);
HeldBlock* recordingScratch();
// Notes the address of an operand of a live call.
void noteAddress(void* address);

}  // namespace ax

#endif  // AX_CUDA_RECORDING_H_
