// Waiting on a 32-bit word until another thread, or another process that maps the same memory, changes it.
#ifndef AX_COMMON_FUTEX_H_
#define AX_COMMON_FUTEX_H_
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace ax {

static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free, "a futex is a plain word");

enum class FutexScope { kProcess = FUTEX_PRIVATE_FLAG, kMachine = 0 };

// Sleeps while `word` holds `expected`, until a wake, a signal or the timeout (negative: none). Callers check again in a loop.
inline void futexWait(const std::atomic<uint32_t>& word, uint32_t expected, int64_t timeout_ns, FutexScope scope) {
  const timespec timeout = {static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000)};
  syscall(SYS_futex, &word, FUTEX_WAIT | static_cast<int>(scope), expected, timeout_ns < 0 ? nullptr : &timeout, nullptr, 0);
}

inline void futexWake(const std::atomic<uint32_t>& word, int count, FutexScope scope) {
  syscall(SYS_futex, &word, FUTEX_WAKE | static_cast<int>(scope), count, nullptr, nullptr, 0);
}

}  // namespace ax

#endif  // AX_COMMON_FUTEX_H_
