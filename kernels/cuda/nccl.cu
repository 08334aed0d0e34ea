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
constexpr const char* kAdvice = "Install NCCL 2.18 or later (for example `pip install nvidia-nccl-cu13`), or name its file in ACCELERATE_NCCL_LIBRARY";

struct Loaded {
  Functions functions = {};
  bool is_usable = false;
  std::string why;
};

std::string versionName(int version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

// Takes the next function from the library; false when it has none of this name.
template <class F>
bool find(void* library, const char* name, F* function, std::string* why) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  if (*function != nullptr) return true;
  *why = std::string("the NCCL that was found has no function ") + name + ". " + kAdvice;
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
    loaded->why = "there is no NCCL: " + reason + ". " + kAdvice;
    return loaded;
  }
  Functions& f = loaded->functions;
  std::string& why = loaded->why;
  if (!find(library, "ncclGetVersion", &f.ncclGetVersion, &why)) return loaded;
  // Versions before 2.9 have other digits, and are smaller than any that is wanted.
  if (f.ncclGetVersion(&f.version) != kSuccess || f.version < kLeastVersion) {
    why = "the NCCL that was found has version " + (f.version < 10000 ? std::to_string(f.version) : versionName(f.version)) + ". " + kAdvice;
    return loaded;
  }
#define AX_FIND(name) find(library, #name, &f.name, &why)
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
  *why = loaded->why.c_str();
  return loaded->is_usable ? &loaded->functions : nullptr;
}

}  // namespace ax::nccl
