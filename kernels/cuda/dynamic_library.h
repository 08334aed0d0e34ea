// Libraries that may be there or not: found at run time where NVIDIA's installers and Python's packages leave them.
#ifndef AX_CUDA_DYNAMIC_LIBRARY_H_
#define AX_CUDA_DYNAMIC_LIBRARY_H_
#include <string>

namespace ax {

// Opens a library: the file that the environment variable names, or else `soname` on the loader's path, under /usr/local/cuda, and in
// nvidia/<package>/lib of the Python environments of this machine. Returns null and writes why.
void* openLibrary(const char* variable, const char* soname, const char* package, std::string* why);

}  // namespace ax

#endif  // AX_CUDA_DYNAMIC_LIBRARY_H_
