// What the checks of the primitives share: arrays on the device, and comparison with what is expected.
#ifndef AX_HW_CONFORMANCE_ARRAYS_H_
#define AX_HW_CONFORMANCE_ARRAYS_H_
#include <stdint.h>
#include <string.h>

#include <vector>

#include "hw/cuda.h"

namespace hw {

// Device memory with a copy of `values`.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : count_(values.size()) {
    cudaMalloc(&address_, count_ * sizeof(T));
    cudaMemcpy(address_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~DeviceArray() { cudaFree(address_); }
  DeviceArray(const DeviceArray&) = delete;
  T* get() const { return address_; }
  // What the kernels before have left; `valid` becomes false when one failed.
  std::vector<T> read(bool* valid) const {
    std::vector<T> values(count_);
    *valid = cudaDeviceSynchronize() == cudaSuccess &&
             cudaMemcpy(values.data(), address_, count_ * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess;
    return values;
  }

 private:
  T* address_ = nullptr;
  size_t count_;
};

template <class T>
int countDifferences(const DeviceArray<T>& actual, const std::vector<T>& expected) {
  bool valid;
  const std::vector<T> values = actual.read(&valid);
  int count = valid ? 0 : 1;
  for (size_t i = 0; i < expected.size(); ++i) count += values[i] == expected[i] ? 0 : 1;
  return count;
}

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace hw
#endif  // AX_HW_CONFORMANCE_ARRAYS_H_
