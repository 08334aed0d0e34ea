// Stable sorting of rows on a GPU.
#ifndef AX_CUDA_SORT_H_
#define AX_CUDA_SORT_H_
#include <stdint.h>

#include "common/operand.h"

namespace ax {
inline namespace AX_ISA {

// Keys (see common/sort_key.h) of rows in ascending order, and where in its row each was.
struct SortedRows {
  const uint64_t* keys;
  const uint32_t* positions;
};

// Sorts `rows` of `count` elements of any dtype. The result lies in scratch memory: see cuda/scratch.h.
int32_t sortRows(const Operand& x, int64_t rows, int64_t count, SortedRows* sorted);

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_SORT_H_
