#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>

namespace ax {
namespace {
thread_local char sentence[512];
}

int32_t fail(int32_t code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sentence, sizeof(sentence), format, arguments);
  va_end(arguments);
  return code;
}

const char* lastError() { return sentence; }

}  // namespace ax
