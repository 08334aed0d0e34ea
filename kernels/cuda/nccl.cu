#include "cuda/nccl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "cuda/dynamic_library.h"

namespace ax::nccl {
namespace {

// Non-blocking communicators are sound from here on, and the configuration has the fields that are declared.
constexpr int kLeastVersion = 21800;
constexpr char kAdvice[] = "Install NCCL 2.18 or later (for example `pip install nvidia-nccl-cu13`), or name its file in ACCELERATE_NCCL_LIBRARY";

struct Loaded {
  Functions functions = {};
  bool is_usable = false;
  char why[512] = "";
};

// Takes the next function from the library; false when it has none of this name.
bool find(void* library, const char* name, void** function, Loaded* loaded) {
  *function = dlsym(library, name);
  if (*function != nullptr) return true;
  snprintf(loaded->why, sizeof loaded->why, "the NCCL that was found has no function %s. %s", name, kAdvice);
  return false;
}

Loaded* loadOnce() {
  auto* const loaded = new Loaded;
  const char* share = getenv("ACCELERATE_SHARE_GPU");
  // Several ranks on one GPU, for tests: NCCL reads this when it makes a communicator.
  if (share != nullptr && strcmp(share, "1") == 0) setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 0);
  std::string reason;
  void* const library = openLibrary("ACCELERATE_NCCL_LIBRARY", "libnccl.so.2", "nccl", &reason);
  if (library == nullptr) {
    snprintf(loaded->why, sizeof loaded->why, "there is no NCCL: %s. %s", reason.c_str(), kAdvice);
    return loaded;
  }
  Functions& f = loaded->functions;
#define AX_FIND(name) find(library, #name, reinterpret_cast<void**>(&f.name), loaded)
  if (!AX_FIND(ncclGetVersion)) return loaded;
  // Versions before 2.9 have other digits, and are smaller than any that is wanted.
  if (f.ncclGetVersion(&f.version) != kSuccess || f.version < kLeastVersion) {
    snprintf(loaded->why, sizeof loaded->why, "the NCCL that was found has version %d.%d.%d. %s", f.version / (f.version < 10000 ? 1000 : 10000),
             f.version / 100 % (f.version < 10000 ? 10 : 100), f.version % 100, kAdvice);
    return loaded;
  }
  loaded->is_usable = AX_FIND(ncclGetUniqueId) && AX_FIND(ncclCommInitRankConfig) && AX_FIND(ncclCommGetAsyncError) &&
                      AX_FIND(ncclCommFinalize) && AX_FIND(ncclCommDestroy) && AX_FIND(ncclCommAbort) && AX_FIND(ncclGetLastError) &&
                      AX_FIND(ncclGetErrorString) && AX_FIND(ncclRedOpCreatePreMulSum) && AX_FIND(ncclAllReduce) &&
                      AX_FIND(ncclReduceScatter) && AX_FIND(ncclBroadcast) && AX_FIND(ncclAllGather);
#undef AX_FIND
  return loaded;
}

}  // namespace

const Functions* load(const char** why) {
  static const Loaded* const loaded = loadOnce();
  *why = loaded->why;
  return loaded->is_usable ? &loaded->functions : nullptr;
}

}  // namespace ax::nccl
