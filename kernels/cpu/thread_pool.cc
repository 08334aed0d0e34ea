#include "cpu/thread_pool.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>

#include "common/futex.h"
#include "common/status.h"

namespace ax {
namespace {

constexpr int kMaxThreads = 1024;
// A worker that ran out of work looks for more for a fraction of a millisecond before it sleeps: the next operation of a training step
// is nearly always there by then, and waking a sleeping thread costs more than most operations. The caller waits at the end of
// runParts() for the last parts only.
constexpr int kWorkerSpins = 20000;
constexpr int kCallerSpins = 4000;

// The processors that the control group's quota pays for, rounded up; INT_MAX without a quota.
int quotaProcessors() {
  double quota = -1, period = 0;
  if (FILE* file = fopen("/sys/fs/cgroup/cpu.max", "re")) {  // version 2: "max 100000" or "150000 100000"
    if (fscanf(file, "%lf %lf", &quota, &period) != 2) quota = -1;
    fclose(file);
  } else if (FILE* quota_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re")) {  // version 1: -1 is no quota
    if (fscanf(quota_file, "%lf", &quota) != 1) quota = -1;
    fclose(quota_file);
    if (FILE* period_file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re")) {
      if (fscanf(period_file, "%lf", &period) != 1) period = 0;
      fclose(period_file);
    }
  }
  return quota > 0 && period > 0 ? std::max(1, static_cast<int>(ceil(quota / period))) : INT_MAX;
}

// A positive integer from the environment, or `otherwise`.
int environmentCount(const char* name, int otherwise) {
  const char* text = getenv(name);
  if (text == nullptr) return otherwise;
  char* end;
  const long value = strtol(text, &end, 10);
  return end != text && *end == '\0' && value >= 1 && value <= kMaxThreads ? static_cast<int>(value) : otherwise;
}

int defaultThreadCount() {
  const int wanted = environmentCount("ACCELERATE_NUM_THREADS", 0);
  if (wanted > 0) return wanted;
  cpu_set_t set;
  CPU_ZERO(&set);
  // The call fails on machines with more than 1024 processors, where the set is too small.
  int processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  processors = std::min(processors, quotaProcessors());
  return std::clamp(processors / environmentCount("LOCAL_WORLD_SIZE", 1), 1, kMaxThreads);
}

// One job at a time. A part is taken by compare-and-swap on `claim_`, which also holds the job's number: a worker that wakes late
// can neither take a part of a finished job nor run one twice. Which thread takes a part does not change the result, and the
// caller takes those that no worker has started.
class Pool {
 public:
  int threadCount() {
    int count = thread_count_.load(std::memory_order_relaxed);
    if (__builtin_expect(count != 0, 1)) return count;
    int none = 0;
    thread_count_.compare_exchange_strong(none, defaultThreadCount());
    return thread_count_.load();
  }

  void setThreadCount(int count) { thread_count_.store(count); }

  void run(void (*run)(const void*, int), const void* context, int parts) {
    if (in_part_ || busy_.exchange(true, std::memory_order_acquire)) {
      for (int part = 0; part < parts; ++part) run(context, part);
      return;
    }
    startWorkers(parts - 1);
    run_ = run;
    context_ = context;
    unfinished_.store(parts, std::memory_order_relaxed);
    const uint32_t job = job_.load(std::memory_order_relaxed) + 1;
    claim_.store(claimWord(job, parts, 0), std::memory_order_release);
    job_.store(job, std::memory_order_seq_cst);
    if (sleeping_.load(std::memory_order_seq_cst) > 0) futexWake(job_, parts - 1, FutexScope::kProcess);
    runClaimed();
    waitUntilFinished();
    busy_.store(false, std::memory_order_release);
  }

 private:
  static uint64_t claimWord(uint32_t job, int parts, int next) {
    return (static_cast<uint64_t>(job) << 32) | (static_cast<uint64_t>(parts) << 16) | static_cast<uint64_t>(next);
  }

  // Takes and runs parts of the current job until none is left. Returns whether there was one.
  bool runClaimed() {
    bool any = false;
    uint64_t claim = claim_.load(std::memory_order_acquire);
    for (;;) {
      const int parts = static_cast<int>(claim >> 16 & 0xffff), next = static_cast<int>(claim & 0xffff);
      if (next >= parts) return any;
      if (!claim_.compare_exchange_weak(claim, claim + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      // The job cannot end before this part is finished, so run_ and context_ are its own.
      any = in_part_ = true;
      run_(context_, next);
      in_part_ = false;
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1 && caller_sleeps_.load(std::memory_order_seq_cst)) {
        futexWake(unfinished_, 1, FutexScope::kProcess);
      }
      claim = claim_.load(std::memory_order_acquire);
    }
  }

  void waitUntilFinished() {
    for (int spins = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spins) {
      if (spins < kCallerSpins) {
        __builtin_ia32_pause();
        continue;
      }
      caller_sleeps_.store(true, std::memory_order_seq_cst);
      const uint32_t left = unfinished_.load(std::memory_order_seq_cst);
      if (left != 0) futexWait(unfinished_, left, -1, FutexScope::kProcess);
      caller_sleeps_.store(false, std::memory_order_relaxed);
    }
  }

  void work() {
    uint32_t seen = 0;
    for (;;) {
      int spins = 0;
      while (job_.load(std::memory_order_acquire) == seen && spins < kWorkerSpins) {
        __builtin_ia32_pause();
        ++spins;
      }
      if (spins == kWorkerSpins) {
        sleeping_.fetch_add(1, std::memory_order_seq_cst);
        futexWait(job_, seen, -1, FutexScope::kProcess);
        sleeping_.fetch_sub(1, std::memory_order_relaxed);
      }
      const uint32_t job = job_.load(std::memory_order_acquire);
      if (job == seen) continue;
      seen = job;
      runClaimed();
    }
  }

  // Under busy_. A worker that the system refuses is missing from then on, not tried again: the caller does its parts.
  void startWorkers(int wanted) {
    if (__builtin_expect(workers_ >= wanted || refused_, 1)) return;
    // Signals of the process are for the host program's threads.
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; workers_ < wanted && !refused_; workers_ += refused_ ? 0 : 1) {
      pthread_t thread;
      refused_ = pthread_create(&thread, nullptr, [](void* pool) -> void* {
        static_cast<Pool*>(pool)->work();
        return nullptr;
      }, this) != 0;
      if (!refused_) pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }

  static thread_local bool in_part_;

  std::atomic<int> thread_count_{0};  // 0: not determined yet
  alignas(64) std::atomic<bool> busy_{false};
  int workers_ = 0;
  bool refused_ = false;
  void (*run_)(const void*, int) = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> job_{0};
  std::atomic<int> sleeping_{0};
  alignas(64) std::atomic<uint64_t> claim_{0};
  alignas(64) std::atomic<uint32_t> unfinished_{0};
  std::atomic<bool> caller_sleeps_{false};
};

thread_local bool Pool::in_part_ = false;

// Constant-initialised and trivially destructible: workers may use it while the process exits.
Pool g_pool;

}  // namespace

int threadCount() { return g_pool.threadCount(); }

void runParts(void (*run)(const void* context, int part), const void* context, int parts) { g_pool.run(run, context, parts); }

}  // namespace ax

int32_t ax_threads_set(int32_t count) {
  if (count < 1 || count > ax::kMaxThreads) {
    return ax::fail(AX_ERROR_ARGUMENT, "ax_threads_set: count is %d, want 1 to %d", count, ax::kMaxThreads);
  }
  ax::g_pool.setThreadCount(count);
  return AX_OK;
}
