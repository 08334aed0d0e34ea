#include "hw/emulator/mutation.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <map>
#include <string>

namespace hw::emulator {
namespace {

const char* const g_sites_path = getenv("ACCELERATE_EMULATOR_SITES");
const char* const g_dropped = getenv("ACCELERATE_EMULATOR_DROP");

// Whether each site that was reached is the dropped one.
std::map<const void*, bool>& sites() {
  static auto* const known = new std::map<const void*, bool>;
  return *known;
}

void list(const std::string& site) {
  FILE* const file = fopen(g_sites_path, "a");
  if (file == nullptr) {
    fprintf(stderr, "emulated GPU: cannot write ACCELERATE_EMULATOR_SITES=%s\n", g_sites_path);
    abort();
  }
  fprintf(file, "%s\n", site.c_str());
  fclose(file);
}

}  // namespace

const bool kHasMutation = g_sites_path != nullptr || g_dropped != nullptr;

__attribute__((noinline)) bool isDroppedSite(const char* operation) {
  const void* const place = __builtin_return_address(0);
  const auto known = sites().find(place);
  if (known != sites().end()) return known->second;
  Dl_info module;
  if (dladdr(place, &module) == 0) abort();
  char offset[32];
  snprintf(offset, sizeof offset, "@%zx", static_cast<size_t>(static_cast<const char*>(place) - static_cast<const char*>(module.dli_fbase)));
  const std::string site = std::string(operation) + offset;
  if (g_sites_path != nullptr) list(site);
  return sites()[place] = g_dropped != nullptr && site == g_dropped;
}

}  // namespace hw::emulator
