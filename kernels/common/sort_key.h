// Elements as unsigned integers of the same order: NaN comes after everything, the two zeros are equal.
#ifndef AX_COMMON_SORT_KEY_H_
#define AX_COMMON_SORT_KEY_H_
#include <stdint.h>
#include <string.h>

#include "common/dtype.h"

namespace ax {

AX_HD uint64_t sortKey(float x) {
  if (x != x) return UINT32_MAX;
  x += 0.0f;  // -0 becomes 0
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits >> 31 ? static_cast<uint32_t>(~bits) : bits | 0x80000000u;
}
AX_HD uint64_t sortKey(double x) {
  if (x != x) return UINT64_MAX;
  x += 0.0;
  uint64_t bits;
  memcpy(&bits, &x, 8);
  return bits >> 63 ? ~bits : bits | 0x8000000000000000u;
}
AX_HD uint64_t sortKey(int64_t x) { return static_cast<uint64_t>(x) ^ 0x8000000000000000u; }
AX_HD uint64_t sortKey(int32_t x) { return static_cast<uint32_t>(x) ^ 0x80000000u; }
AX_HD uint64_t sortKey(uint8_t x) { return x; }
AX_HD uint64_t sortKey(Bool x) { return x.value; }
AX_HD uint64_t sortKey(BFloat16 x) { return sortKey(static_cast<float>(x)); }
AX_HD uint64_t sortKey(Float16 x) { return sortKey(static_cast<float>(x)); }

}  // namespace ax

#endif  // AX_COMMON_SORT_KEY_H_
