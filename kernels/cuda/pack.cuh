// Several neighbours that are read or written by one instruction: up to 16 bytes each, more by several.
#ifndef AX_CUDA_PACK_CUH_
#define AX_CUDA_PACK_CUH_
#include <stdint.h>

#include "common/hd.h"

namespace ax {
inline namespace AX_ISA {

template <class S, int kCount>
struct alignas(kCount * sizeof(S) < 16 ? kCount * sizeof(S) : 16) Pack {
  S v[kCount];
};

template <int kCount, class S>
AX_DEVICE Pack<S, kCount> loadPack(const S* from) {
  return *reinterpret_cast<const Pack<S, kCount>*>(from);
}

template <class S, int kCount>
AX_DEVICE void storePack(S* to, const Pack<S, kCount>& pack) {
  *reinterpret_cast<Pack<S, kCount>*>(to) = pack;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_PACK_CUH_
