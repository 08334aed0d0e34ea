#include "cuda/dynamic_library.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>

#include <vector>

namespace ax {
namespace {

std::string home(const char* variable, const char* rest) {
  const char* folder = getenv(variable);
  return folder == nullptr || *folder == '\0' ? "" : std::string(folder) + rest;
}

// Patterns of folders that hold Python's packages, the active environment first.
std::vector<std::string> packageFolders() {
  std::vector<std::string> folders;
  for (const std::string& folder : {home("VIRTUAL_ENV", "/lib/python3*/site-packages"), home("CONDA_PREFIX", "/lib/python3*/site-packages"),
                                    home("HOME", "/.local/lib/python3*/site-packages"), std::string("/usr/local/lib/python3*/*-packages"),
                                    std::string("/usr/lib/python3*/*-packages"), std::string("/opt/conda/lib/python3*/site-packages")}) {
    if (!folder.empty()) folders.push_back(folder);
  }
  return folders;
}

}  // namespace

void* openLibrary(const char* variable, const char* soname, const char* package, std::string* why) {
  const char* file = getenv(variable);
  if (file != nullptr && *file != '\0') {  // the user's word: nothing else is tried
    void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) *why = std::string(variable) + " names " + file + ", which cannot be loaded: " + dlerror();
    return library;
  }
  if (void* library = dlopen(soname, RTLD_NOW | RTLD_LOCAL)) return library;
  std::vector<std::string> patterns = {std::string("/usr/local/cuda/lib64/") + soname};
  for (const std::string& folder : packageFolders()) patterns.push_back(folder + "/nvidia/" + package + "/lib/" + soname);
  for (const std::string& pattern : patterns) {
    glob_t found = {};
    void* library = nullptr;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
      for (size_t i = 0; i < found.gl_pathc && library == nullptr; ++i) library = dlopen(found.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
    }
    globfree(&found);
    if (library != nullptr) return library;
  }
  *why = std::string(soname) + " is neither on the loader's path nor under /usr/local/cuda nor among Python's packages (nvidia/" + package + "/lib)";
  return nullptr;
}

}  // namespace ax
