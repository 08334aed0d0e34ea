// Status and the error sentence of the calling thread.
#ifndef AX_COMMON_STATUS_H_
#define AX_COMMON_STATUS_H_
#include <stdint.h>

#include "include/accelerate.h"

namespace ax {

// Formats the thread's last error and returns `code`.
int32_t fail(int32_t code, const char* format, ...) __attribute__((format(printf, 2, 3)));
const char* lastError();

// Address of element `offset`, checked: the id is live, offset and count are non-negative integers, and `count` elements of
// `dtype` from there lie inside the storage. Implemented by each backend.
int32_t resolve(uint32_t id, double offset, double count, int32_t dtype, void** address);

// The same for untyped bytes.
int32_t resolveBytes(uint32_t id, double byte_offset, double bytes, void** address);

}  // namespace ax

#define AX_TRY(call)                       \
  do {                                     \
    int32_t status_ = (call);              \
    if (status_ != AX_OK) return status_;  \
  } while (0)

#endif  // AX_COMMON_STATUS_H_
