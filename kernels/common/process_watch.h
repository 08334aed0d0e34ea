// Telling whether another process of this machine still runs, even when its number may have been given to a new one.
#ifndef AX_COMMON_PROCESS_WATCH_H_
#define AX_COMMON_PROCESS_WATCH_H_
#include <stdint.h>

namespace ax {

// A process as its peers see it. Processes of different pid namespaces cannot be watched: they count as running.
struct ProcessIdentity {
  int32_t pid;
  uint64_t start_ticks;    // since boot, from /proc/<pid>/stat; 0 if unknown
  uint64_t pid_namespace;  // inode of /proc/<pid>/ns/pid; 0 if unknown
};

ProcessIdentity thisProcess();

// Whether the process runs: it exists, started when it says, and is no zombie.
bool isRunning(const ProcessIdentity& process);

// Watches one process by a pidfd where the kernel has them, otherwise by isRunning().
class ProcessWatch {
 public:
  ProcessWatch() = default;
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;
  ~ProcessWatch();
  void start(const ProcessIdentity& process);
  bool hasEnded() const;

 private:
  ProcessIdentity process_ = {0, 0, 0};
  int pidfd_ = -1;
};

}  // namespace ax

#endif  // AX_COMMON_PROCESS_WATCH_H_
