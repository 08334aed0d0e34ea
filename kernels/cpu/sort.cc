// Sorting rows, and the first elements of their order. Compiled once: it has no use for vectors.
//
// A row becomes keys with positions. They are sorted by their digits (least significant first, which is stable); where only some are
// wanted, those are selected first.
#include <stdlib.h>

#include <algorithm>

#include "common/sort_key.h"
#include "common/status.h"
#include "cpu/thread_pool.h"

namespace ax {
namespace {

// Keys of 32 bits share a word with the position, so comparing words is comparing keys, then positions.
struct Packed {
  uint64_t word;
  static constexpr int kDigits = 4;
  void set(uint64_t key, int64_t position) { word = key << 32 | static_cast<uint32_t>(position); }
  int digit(int d) const { return static_cast<int>(word >> (32 + 8 * d) & 255); }
  int64_t position() const { return static_cast<uint32_t>(word); }
  bool operator<(const Packed& other) const { return word < other.word; }
};

struct Pair {
  uint64_t key;
  int64_t at;
  static constexpr int kDigits = 8;
  void set(uint64_t new_key, int64_t position) {
    key = new_key;
    at = position;
  }
  int digit(int d) const { return static_cast<int>(key >> (8 * d) & 255); }
  int64_t position() const { return at; }
  bool operator<(const Pair& other) const { return key != other.key ? key < other.key : at < other.at; }
};

template <class E>
void insertionSort(E* x, int64_t count) {
  for (int64_t i = 1; i < count; ++i) {
    const E value = x[i];
    int64_t j = i;
    for (; j > 0 && value < x[j - 1]; --j) x[j] = x[j - 1];
    x[j] = value;
  }
}

// `spare` holds as many elements.
template <class E>
void radixSort(E* x, E* spare, int64_t count) {
  if (count <= 48) return insertionSort(x, count);
  int64_t counts[E::kDigits][256] = {};
  for (int64_t i = 0; i < count; ++i) {
    for (int d = 0; d < E::kDigits; ++d) ++counts[d][x[i].digit(d)];
  }
  E *from = x, *to = spare;
  for (int d = 0; d < E::kDigits; ++d) {
    if (counts[d][from[0].digit(d)] == count) continue;  // the same digit everywhere
    int64_t start = 0;
    for (int64_t& bucket : counts[d]) {
      const int64_t size = bucket;
      bucket = start;
      start += size;
    }
    for (int64_t i = 0; i < count; ++i) to[counts[d][from[i].digit(d)]++] = from[i];
    std::swap(from, to);
  }
  if (from != x) std::copy(from, from + count, x);
}

template <class T, class E>
void sortRow(const T* x, T* values, int64_t* indices, int64_t count, int64_t take, bool descending, E* elements, E* spare) {
  // The order of the complement is the reverse, and equal keys stay in the order of their positions.
  const uint64_t flip = !descending ? 0 : E::kDigits == 4 ? UINT32_MAX : UINT64_MAX;
  for (int64_t i = 0; i < count; ++i) elements[i].set(sortKey(x[i]) ^ flip, i);
  if (take < count) {
    // Selection mixes the positions of equal keys, so that their order must be compared.
    std::nth_element(elements, elements + take, elements + count);
    std::sort(elements, elements + take);
  } else {
    radixSort(elements, spare, count);
  }
  for (int64_t i = 0; i < take; ++i) {
    indices[i] = elements[i].position();
    values[i] = x[indices[i]];
  }
}

template <class T, class E>
int32_t sortRows(int32_t dtype, uint32_t values, double values_offset, uint32_t indices, double indices_offset, uint32_t x,
                 double x_offset, double rows, double count, double take, bool descending) {
  void *to, *positions, *from;
  AX_TRY(resolve(values, values_offset, rows * take, dtype, &to));
  AX_TRY(resolve(indices, indices_offset, rows * take, AX_INT64, &positions));
  AX_TRY(resolve(x, x_offset, rows * count, dtype, &from));
  const int64_t n = static_cast<int64_t>(count), k = static_cast<int64_t>(take);
  bool failed = false;
  parallelFor(static_cast<int64_t>(rows), 4096 / (n + 1) + 1, [&](int64_t begin, int64_t end) {
    E* elements = static_cast<E*>(malloc(sizeof(E) * 2 * static_cast<size_t>(n) + 1));
    if (elements == nullptr) {
      failed = true;
      return;
    }
    for (int64_t row = begin; row < end; ++row) {
      sortRow(static_cast<const T*>(from) + row * n, static_cast<T*>(to) + row * k, static_cast<int64_t*>(positions) + row * k, n, k,
              descending, elements, elements + n);
    }
    free(elements);
  });
  return failed ? fail(AX_ERROR_OUT_OF_MEMORY, "out of memory in a sort of %.0f elements", count) : AX_OK;
}

}  // namespace
}  // namespace ax

using namespace ax;

int32_t ax_sort(int32_t dtype, uint32_t values, double values_offset, uint32_t indices, double indices_offset, uint32_t x,
                double x_offset, double rows, double count, double take, int32_t descending) {
  if (!(rows >= 0 && count >= 0 && count < 4294967296.0 && take >= 0 && take <= count)) {
    return fail(AX_ERROR_ARGUMENT, "cannot take %.0f of %.0f elements", take, count);
  }
  const auto run = [&](auto sort) {
    return sort(dtype, values, values_offset, indices, indices_offset, x, x_offset, rows, count, take, descending != 0);
  };
  switch (dtype) {
    case AX_FLOAT32: return run(sortRows<float, Packed>);
    case AX_FLOAT64: return run(sortRows<double, Pair>);
    case AX_BFLOAT16: return run(sortRows<BFloat16, Packed>);
    case AX_FLOAT16: return run(sortRows<Float16, Packed>);
    case AX_INT32: return run(sortRows<int32_t, Packed>);
    case AX_INT64: return run(sortRows<int64_t, Pair>);
    case AX_UINT8: return run(sortRows<uint8_t, Packed>);
    case AX_BOOL: return run(sortRows<Bool, Packed>);
  }
  return fail(AX_ERROR_ARGUMENT, "dtype must be in [0, 7], got %d", dtype);
}
