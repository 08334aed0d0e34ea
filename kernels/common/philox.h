// Philox-4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#ifndef AX_COMMON_PHILOX_H_
#define AX_COMMON_PHILOX_H_
#include <stdint.h>

#include "common/math.h"

namespace ax {
#ifdef AX_ISA
inline namespace AX_ISA {
#endif

struct Philox {
  uint32_t key0, key1;

  // The four words of counter block `block`.
  AX_HD void words(uint64_t block, uint32_t out[4]) const {
    uint32_t c0 = static_cast<uint32_t>(block), c1 = static_cast<uint32_t>(block >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = key0, k1 = key1;
    for (int round = 0; round < 10; ++round) {
      uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
      uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<uint32_t>(p1);
      c3 = static_cast<uint32_t>(p0);
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
  }
};

#ifdef AX_ISA
}  // inline namespace
#endif
}  // namespace ax

#endif  // AX_COMMON_PHILOX_H_
