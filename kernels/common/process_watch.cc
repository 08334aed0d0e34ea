#include "common/process_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ax {
namespace {

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

struct ProcessStat {
  bool exists = false;
  char state = '?';
  uint64_t start_ticks = 0;
};

ProcessStat readStat(int32_t pid) {
  ProcessStat stat;
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE* file = fopen(path, "re");
  if (file == nullptr) return stat;
  const size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = '\0';
  // "pid (name) state ...": the name may hold anything, so fields are counted from its last parenthesis; the start time is
  // field 22, the state field 3.
  const char* at = strrchr(text, ')');
  if (at == nullptr) return stat;
  unsigned long long start = 0;
  stat.exists = sscanf(at + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &stat.state,
                       &start) == 2;
  stat.start_ticks = start;
  return stat;
}

uint64_t pidNamespace() {
  struct stat info;
  return stat("/proc/self/ns/pid", &info) == 0 ? static_cast<uint64_t>(info.st_ino) : 0;
}

bool canWatch(const ProcessIdentity& process) {
  return process.pid > 0 && process.pid_namespace != 0 && process.pid_namespace == pidNamespace();
}

}  // namespace

ProcessIdentity thisProcess() {
  const int32_t pid = static_cast<int32_t>(getpid());
  return {pid, readStat(pid).start_ticks, pidNamespace()};
}

bool isRunning(const ProcessIdentity& process) {
  if (!canWatch(process)) return true;
  if (kill(process.pid, 0) != 0 && errno == ESRCH) return false;
  const ProcessStat stat = readStat(process.pid);
  // kill() found it: without a readable stat file (hidepid) the number is all there is.
  if (!stat.exists) return true;
  return stat.state != 'Z' && stat.state != 'X' && (process.start_ticks == 0 || stat.start_ticks == process.start_ticks);
}

ProcessWatch::~ProcessWatch() {
  if (pidfd_ >= 0) close(pidfd_);
}

void ProcessWatch::start(const ProcessIdentity& process) {
  process_ = process;
  if (!canWatch(process)) return;
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  // The number may have been reused before the descriptor was opened.
  if (pidfd_ >= 0 && !isRunning(process)) {
    close(pidfd_);
    pidfd_ = -1;
  }
}

bool ProcessWatch::hasEnded() const {
  if (pidfd_ < 0) return !isRunning(process_);
  pollfd descriptor = {pidfd_, POLLIN, 0};
  return poll(&descriptor, 1, 0) == 1;
}

}  // namespace ax
