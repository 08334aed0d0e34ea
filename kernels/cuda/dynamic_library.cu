#include "cuda/dynamic_library.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

namespace ax {
namespace {

// Where packages of Python lie, the active environment first: below the folder that a variable names, or a fixed one.
constexpr struct {
  const char* variable;
  const char* folder;
} kPackages[] = {
    {"VIRTUAL_ENV", "/lib/python3*/site-packages"},    {"CONDA_PREFIX", "/lib/python3*/site-packages"},
    {"HOME", "/.local/lib/python3*/site-packages"},    {nullptr, "/usr/local/lib/python3*/*-packages"},
    {nullptr, "/usr/lib/python3*/*-packages"},         {nullptr, "/opt/conda/lib/python3*/site-packages"},
};

void* openFile(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }

// The first file of a pattern that can be loaded.
void* openFirst(const char* pattern) {
  glob_t found = {};
  void* library = nullptr;
  if (glob(pattern, 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc && library == nullptr; ++i) library = openFile(found.gl_pathv[i]);
  }
  globfree(&found);
  return library;
}

}  // namespace

void* openLibrary(const char* variable, const char* soname, const char* package, std::string* why) {
  char text[PATH_MAX];
  const char* const file = getenv(variable);
  if (file != nullptr && *file != '\0') {  // the user's word: nothing else is tried
    void* const library = openFile(file);
    if (library != nullptr) return library;
    const char* const reason = dlerror();
    snprintf(text, sizeof text, "%s names %s, which cannot be loaded: %s", variable, file, reason == nullptr ? "?" : reason);
    *why = text;
    return nullptr;
  }
  if (void* library = openFile(soname)) return library;
  snprintf(text, sizeof text, "/usr/local/cuda/lib64/%s", soname);
  if (void* library = openFirst(text)) return library;
  for (const auto& place : kPackages) {
    const char* const base = place.variable == nullptr ? "" : getenv(place.variable);
    if (base == nullptr || (place.variable != nullptr && *base == '\0')) continue;
    snprintf(text, sizeof text, "%s%s/nvidia/%s/lib/%s", base, place.folder, package, soname);
    if (void* library = openFirst(text)) return library;
  }
  snprintf(text, sizeof text, "%s is neither on the loader's path nor under /usr/local/cuda nor among Python's packages (nvidia/%s/lib)", soname, package);
  *why = text;
  return nullptr;
}

}  // namespace ax
