// Rows and columns on the CPU: see common/backend.h. A team is one thread, so its loops are plain and vectorise.
#ifndef AX_CPU_TEAM_H_
#define AX_CPU_TEAM_H_
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include <atomic>
#include <type_traits>

#include "common/operand.h"
#include "common/special.h"
#include "common/status.h"
#include "cpu/thread_pool.h"
#include "cpu/tile.h"

namespace ax {
inline namespace AX_ISA {

// Elements below which another thread is not worth waking.
constexpr int64_t kElementGrain = 1 << 15;

// Rows of 16-bit elements are computed in float rows of scratch memory; others where they lie.
template <class T>
constexpr bool kInPlace = std::is_same<T, Compute<T>>::value;

class Team {
 public:
  static constexpr bool kHoldsRows = true;  // rows lie in cache, so reading them again costs little

  Team() = default;
  Team(float* scratch, int64_t stride) : scratch_(scratch), stride_(stride) {}

  bool isFirst() const { return true; }

  template <class F>
  void each(int64_t count, const F& shared) const {
    const F f = shared;
#pragma GCC ivdep
    for (int64_t i = 0; i < count; ++i) f(i);
  }

  // In 64 lanes that are combined pairwise, in blocks whose sums are kept in double; a few elements simply one by one.
  template <class T, class F>
  T sum(int64_t count, const F& shared) const {
    constexpr int64_t kBlock = 4096;
    const F f = shared;
    if (count <= kFew) {
      T few = T(0);
      for (int64_t i = 0; i < count; ++i) few += f(i);
      return few;
    }
    double total = 0;
    for (int64_t first = 0; first < count; first += kBlock) {
      const int64_t last = count - first < kBlock ? count : first + kBlock;
      T lanes[kLanes] = {};
      int64_t i = first;
      for (; i + kLanes <= last; i += kLanes) {
#pragma GCC ivdep
        for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += f(i + lane);
      }
      const int rest = static_cast<int>(last - i);
#pragma GCC ivdep
      for (int lane = 0; lane < rest; ++lane) lanes[lane] += f(i + lane);
      for (int width = kLanes / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
      }
      total += static_cast<double>(lanes[0]);
    }
    return static_cast<T>(total);
  }

  template <class T, class F>
  T max(int64_t count, T lowest, const F& shared) const {
    const F f = shared;
    if (count <= kFew) {
      for (int64_t i = 0; i < count; ++i) lowest = larger(lowest, f(i));
      return lowest;
    }
    T lanes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = lowest;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
#pragma GCC ivdep
      for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = larger(lanes[lane], f(i + lane));
    }
    const int rest = static_cast<int>(count - i);
    for (int lane = 0; lane < rest; ++lane) lanes[lane] = larger(lanes[lane], f(i + lane));
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; ++lane) lanes[lane] = larger(lanes[lane], lanes[lane + width]);
    }
    return lanes[0];
  }

  template <class C>
  C expSum(int64_t count, const C* x, C* top) const {
    const C largest = max<C>(count, C(-INFINITY), [=](int64_t i) { return x[i]; });
    *top = largest;
    return sum<C>(count, [=](int64_t i) { return special::expNonPositive(x[i] - largest); });
  }

  template <class T>
  const Compute<T>* input(const T* row, int64_t count, int slot) const {
    if constexpr (kInPlace<T>) {
      return row;
    } else {
      if (row == nullptr) return nullptr;
      float* values = scratch_ + slot * stride_;
      convertBlock(values, AX_FLOAT32, row, kDtypeOf<T>, count);
      return values;
    }
  }

  template <class T>
  const Compute<T>* keep(const T* row, int64_t count, int slot) const {
    return input(row, count, slot);
  }

  template <class T>
  Compute<T>* output(T* row, int slot) const {
    if constexpr (kInPlace<T>) {
      return row;
    } else {
      return scratch_ + slot * stride_;
    }
  }

  template <class C, class F>
  void write(C* to, int64_t count, const F& f) const {
    each(count, [=](int64_t i) { to[i] = f(i); });
  }

  template <class C, class F, class G>
  void writeExcept(C* to, int64_t count, int64_t special, const F& f, const G& g) const {
    const C value = g(special);  // before the row, which may be where f and g read
    write(to, count, f);
    to[special] = value;
  }

  template <class T>
  void copy(T* to, const T* from, int64_t count) const {
    each(count, [=](int64_t i) { to[i] = from[i]; });
  }

  template <class C>
  C* totals(C* row, int64_t count, int) const {
    each(count, [=](int64_t i) { row[i] = C(0); });
    return row;
  }
  template <class C>
  void storeTotals(C*, const C*, int64_t) const {}

  template <class T>
  void store(T* row, const Compute<T>* values, int64_t count) const {
    if constexpr (!kInPlace<T>) convertBlock(row, kDtypeOf<T>, values, AX_FLOAT32, count);
  }

 private:
  static constexpr int kLanes = 64, kFew = 16;

  template <class T>
  static T larger(T a, T b) {
    return b > a ? b : a;
  }

  float* scratch_ = nullptr;
  int64_t stride_ = 0;
};

template <class Body>
int32_t forEachRow(int64_t rows, int64_t row_elements, const Body& body) {
  parallelFor(rows, kElementGrain / (row_elements + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(Team(), row);
  });
  return AX_OK;
}

template <class T, class Body>
int32_t forEachRow(int64_t rows, int64_t row_elements, int64_t cols, int slots, const Body& body) {
  if (kInPlace<T> || cols == 0) return forEachRow(rows, row_elements, body);
  const int64_t stride = (cols + 15) / 16 * 16;
  std::atomic<bool> failed{false};
  parallelFor(rows, kElementGrain / (row_elements + 1) + 1, [&](int64_t begin, int64_t end) {
    float* scratch = static_cast<float*>(aligned_alloc(64, static_cast<size_t>(stride * slots) * sizeof(float)));
    if (scratch == nullptr) {
      failed = true;
      return;
    }
    const Team team(scratch, stride);
    for (int64_t row = begin; row < end; ++row) body(team, row);
    free(scratch);
  });
  return failed ? fail(AX_ERROR_OUT_OF_MEMORY, "no memory for rows of %lld floats", static_cast<long long>(cols)) : AX_OK;
}

// Columns that are worked on at once: their running values stay in registers or in the first cache.
constexpr int kColumnBlock = 64;

template <class Body>
int32_t forEachColumns(int64_t outer, int64_t size, int64_t inner, const Body& body) {
  const int64_t blocks = (inner + kColumnBlock - 1) / kColumnBlock;
  parallelFor(outer * blocks, kElementGrain / (kColumnBlock * (size + 1)) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block % blocks * kColumnBlock;
      body(block / blocks, first, static_cast<int>(inner - first < kColumnBlock ? inner - first : kColumnBlock));
    }
  });
  return AX_OK;
}

// The pieces in which the sum is taken depend only on the count, so it does not depend on the number of threads.
template <class T, class F>
int32_t sumInto(T* out, int64_t count, double scale, const F& f) {
  constexpr int64_t kPieces = 64, kLeast = 4096;
  double sums[kPieces] = {};
  const int64_t piece = count <= kPieces * kLeast ? kLeast : (count + kPieces - 1) / kPieces;
  parallelFor((count + piece - 1) / piece, kElementGrain / piece + 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t first = k * piece, length = count - first < piece ? count - first : piece;
      sums[k] = static_cast<double>(Team().template sum<T>(length, [=](int64_t i) { return f(first + i); }));
    }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  *out = static_cast<T>(total * scale);
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_TEAM_H_
