// Rows and columns on a GPU: see common/backend.h. A team is a block for long rows, and a warp or a power of 2 of its lanes for short ones.
#ifndef AX_CUDA_TEAM_CUH_
#define AX_CUDA_TEAM_CUH_
#include <math.h>
#include <stdint.h>

#include <type_traits>

#include "common/dtype.h"
#include "common/layout.h"
#include "common/special.h"
#include "cuda/combine.cuh"
#include "cuda/pack.cuh"
#include "cuda/scratch.h"

namespace ax {
inline namespace AX_ISA {

// Neighbours of a row that a thread takes at a time: 16 bytes. Those of float64, which is rare, are taken one by one.
template <class T>
constexpr int kRowPack = sizeof(T) == 8 ? 1 : 16 / static_cast<int>(sizeof(T));

// Element `lane` of the pack that begins at `first`, and its place in the memory that holds rows.
template <int kPack>
struct RowIndex {
  int64_t first;
  int place, lane;
  AX_DEVICE operator int64_t() const { return first + lane; }
};

// A row in global memory, widened where it is read. The reads of a pack's elements are one instruction.
template <class T, int kPack>
struct InputRow {
  const T* row;
  AX_DEVICE Compute<T> operator[](int64_t i) const { return static_cast<Compute<T>>(row[i]); }
  AX_DEVICE Compute<T> operator[](const RowIndex<kPack>& i) const {
    return static_cast<Compute<T>>(loadPack<kPack>(row + i.first).v[i.lane]);
  }
  AX_DEVICE bool operator==(decltype(nullptr)) const { return row == nullptr; }
  AX_DEVICE bool operator!=(decltype(nullptr)) const { return row != nullptr; }
};

// A row that was read once and is held in shared memory. Every thread reads what it wrote itself, so there are no barriers; elements
// of a pack lie kThreads apart, so that the lanes of a warp never meet in a bank.
template <class C, int kPack>
struct KeptRow {
  C* held;
  AX_DEVICE C& operator[](const RowIndex<kPack>& i) const { return held[i.place]; }
};

// A row to write, and its place in shared memory where one is held.
template <class T, int kPack>
struct OutputRow {
  T* row;
  Compute<T>* held;
  AX_DEVICE Compute<T>& operator[](const RowIndex<kPack>& i) const { return held[i.place]; }
};

// The largest value and the sum of exponentials of what lies below it.
template <class C>
struct ExpSum {
  C top, sum;
  AX_DEVICE void scaleTo(C larger) {
    sum = top == larger ? sum : sum * special::expNonPositive(top - larger);
    top = larger;
  }
};

// Threads that share a row. Teams of kPack 1 read rows as often as they are asked to, others hold them.
template <int kPack>
class Team {
 public:
  static constexpr bool kHoldsRows = kPack > 1;

  // `held_elements` of each row that is held.
  AX_DEVICE Team(int size, int held_elements)
      : size_(size), rank_(static_cast<int>(threadIdx.x) % size), held_elements_(held_elements) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    lanes_ = size >= kWarp ? 0xffffffffu : ((1u << size) - 1) << (lane / size * size);
  }

  AX_DEVICE bool isFirst() const { return rank_ == 0; }

  template <class F>
  AX_DEVICE void each(int64_t count, const F& f) const {
    eachPack(count, [&](int64_t first, int place) {
#pragma unroll
      for (int lane = 0; lane < kPack; ++lane) f(RowIndex<kPack>{first, place + lane * kThreads, lane});
    });
  }

  template <class T, class F>
  AX_DEVICE T sum(int64_t count, const F& f) const {
    T value = T(0);
    each(count, [&](const RowIndex<kPack>& i) { value += f(i); });
    return combine(value, [](T a, T b) { return a + b; });
  }

  template <class T, class F>
  AX_DEVICE T max(int64_t count, T lowest, const F& f) const {
    T value = lowest;
    each(count, [&](const RowIndex<kPack>& i) { value = larger<T>(value, f(i)); });
    return combine(value, [](T a, T b) { return larger<T>(a, b); });
  }

  // The sum of exp(x[i] - top), where top is the largest: one pass, which corrects the sum when a larger element comes.
  template <class C, class Row>
  AX_DEVICE C expSum(int64_t count, const Row& x, C* top) const {
    ExpSum<C> total{C(-INFINITY), C(0)};
    eachPack(count, [&](int64_t first, int place) {
      C values[kPack], highest = total.top;
#pragma unroll
      for (int lane = 0; lane < kPack; ++lane) {
        values[lane] = x[RowIndex<kPack>{first, place + lane * kThreads, lane}];
        highest = larger<C>(highest, values[lane]);
      }
      total.scaleTo(highest);
#pragma unroll
      for (int lane = 0; lane < kPack; ++lane) {
        // An element of -infinity counts nothing also where nothing larger has come yet.
        if (values[lane] != C(-INFINITY)) total.sum += special::expNonPositive(values[lane] - highest);
      }
    });
    total = combine(total, [](ExpSum<C> a, ExpSum<C> b) {
      const C highest = larger<C>(a.top, b.top);
      a.scaleTo(highest);
      b.scaleTo(highest);
      return ExpSum<C>{highest, a.sum + b.sum};
    });
    *top = total.top;
    return fabs(total.top) == C(INFINITY) ? C(NAN) : total.sum;  // infinity - infinity
  }

  // Rows. What `keep` returns may be indexed in several passes at the price of one read.
  template <class T>
  AX_DEVICE InputRow<T, kPack> input(const T* row, int64_t, int) const {
    return {row};
  }

  template <class T>
  AX_DEVICE auto keep(const T* row, int64_t cols, int slot) const {
    if constexpr (!kHoldsRows) {
      return InputRow<T, 1>{row};
    } else {
      // Enough reads at a time that a warp's wait for memory is worth it.
      constexpr int kReads = 4 / (kPack / 4);
      Compute<T>* const held = heldRow<Compute<T>>(slot);
      int place = threadIdx.x;
      for (int64_t pack = rank_; pack * kPack < cols; pack += kReads * size_) {
        Pack<T, kPack> packs[kReads];
#pragma unroll
        for (int read = 0; read < kReads; ++read) {
          const int64_t first = (pack + read * size_) * kPack;
          if (first < cols) packs[read] = loadPack<kPack>(row + first);
        }
#pragma unroll
        for (int read = 0; read < kReads; ++read) {
          if ((pack + read * size_) * kPack < cols) {
#pragma unroll
            for (int lane = 0; lane < kPack; ++lane) held[place + lane * kThreads] = static_cast<Compute<T>>(packs[read].v[lane]);
          }
          place += kPack * kThreads;
        }
      }
      return KeptRow<Compute<T>, kPack>{held};
    }
  }

  template <class T>
  AX_DEVICE OutputRow<T, kPack> output(T* row, int slot) const {
    if constexpr (kHoldsRows) return {row, heldRow<Compute<T>>(slot)};
    return {row, nullptr};
  }

  // row[i] = f(i).
  template <class T, class F>
  AX_DEVICE void write(const OutputRow<T, kPack>& to, int64_t count, const F& f) const {
    writeExcept(to, count, int64_t{-1}, f, f);
  }

  // The same, and row[special] = g(special).
  template <class T, class F, class G>
  AX_DEVICE void writeExcept(const OutputRow<T, kPack>& to, int64_t count, int64_t special, const F& f, const G& g) const {
    eachPack(count, [&](int64_t first, int place) {
      Pack<T, kPack> pack;
#pragma unroll
      for (int lane = 0; lane < kPack; ++lane) {
        const RowIndex<kPack> i{first, place + lane * kThreads, lane};
        if constexpr (std::is_same<F, G>::value) {
          pack.v[lane] = static_cast<T>(f(i));
        } else {
          pack.v[lane] = static_cast<T>(first + lane == special ? g(i) : f(i));
        }
      }
      storePack(to.row + first, pack);
    });
  }

  template <class T>
  AX_DEVICE void store(T*, const OutputRow<T, kPack>&, int64_t) const {}

  template <class T>
  AX_DEVICE void copy(T* to, const T* from, int64_t count) const {
    constexpr int kCopied = 16 / static_cast<int>(sizeof(T));
    if (count % kCopied == 0 && (reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 16 == 0) {
#pragma unroll 1
      for (int64_t i = rank_ * kCopied; i < count; i += size_ * kCopied) storePack(to + i, loadPack<kCopied>(from + i));
    } else {
      each(count, [=](int64_t i) { to[i] = from[i]; });
    }
  }

  // Running sums of a row's elements over several rows: zero at first, and written by storeTotals().
  template <class C>
  AX_DEVICE auto totals(C* row, int64_t count, int slot) const {
    if constexpr (kHoldsRows) {
      const KeptRow<C, kPack> sums{heldRow<C>(slot)};
      each(count, [=](const RowIndex<kPack>& i) { sums[i] = C(0); });
      return sums;
    } else {
      each(count, [=](int64_t i) { row[i] = C(0); });
      return row;
    }
  }

  template <class C, class Sums>
  AX_DEVICE void storeTotals(C* row, const Sums& sums, int64_t count) const {
    if constexpr (kHoldsRows) each(count, [=](const RowIndex<kPack>& i) { row[i] = sums[i]; });
  }

 private:
  template <class F>
  AX_DEVICE void eachPack(int64_t count, const F& f) const {
    int place = threadIdx.x;
#pragma unroll 1
    for (int64_t first = rank_ * kPack; first < count; first += size_ * kPack, place += kPack * kThreads) f(first, place);
  }

  template <class C>
  AX_DEVICE C* heldRow(int slot) const {
    AX_DYNAMIC_SHARED(shared);
    return reinterpret_cast<C*>(shared) + slot * held_elements_;
  }

  // Of all members. Two arrays by turns: a thread that is late still reads the one while others write the other.
  template <class X, class Combine>
  AX_DEVICE X combine(X value, const Combine& f) const {
    value = combineLanes(lanes_, size_ < kWarp ? size_ : kWarp, value, f);
    if (size_ <= kWarp) return value;
    AX_SHARED(X, partial, [2][kWarps]);
    turn_ ^= 1;
    return combineWarps(partial[turn_], value, f);
  }

  template <class T>
  static AX_DEVICE T larger(T a, T b) {
    return b > a ? b : a;
  }

  int size_, rank_, held_elements_;
  uint32_t lanes_;
  mutable int turn_ = 0;
};

// Some blocks a processor: without a number ptxas aims at eight, and spills for it.
template <int kPack, class Body>
__global__ void AX_MAX_THREADS(kThreads, kPack == 1 ? 4 : 3) rowKernel(int64_t rows, int team_size, int held_elements, Body body) {
  const Team<kPack> team(team_size, held_elements);
  const int teams = kThreads / team_size;
  for (int64_t row = int64_t{blockIdx.x} * teams + threadIdx.x / team_size; row < rows; row += int64_t{gridDim.x} * teams) {
    body(team, row);
  }
}

// How many threads share a row of `packs`: the lanes of a warp need no barriers, and eight packs each keep them busy; where the rows
// alone would not fill the GPU, a row gets a block sooner.
inline int teamSize(int64_t rows, int64_t packs) {
  constexpr int64_t kManyRows = 1024, kPacksOfLane = 8;
  if (packs > kWarp * (rows < kManyRows ? 1 : kPacksOfLane)) return kThreads;
  int size = 1;
  while (size < packs && size < kWarp) size *= 2;
  return size;
}

inline int gridForTeams(int64_t rows, int team_size) {
  const int64_t teams = kThreads / team_size, blocks = (rows + teams - 1) / teams;
  return static_cast<int>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

template <class Body>
int32_t forEachRow(int64_t rows, int64_t row_elements, const Body& body) {
  if (rows == 0) return AX_OK;
  const int size = teamSize(rows, row_elements);
  return launch(rowKernel<1, Body>, gridForTeams(rows, size), rows, size, 0, body);
}

// Rows are held where they fit beside those of other blocks. Every GPU gives a block 48 KiB, of which sums need a little.
constexpr int64_t kHeldBytes = 47 << 10, kHeldBytesOfWarps = 32 << 10;

template <class T, class Body>
int32_t forEachRow(int64_t rows, int64_t row_elements, int64_t cols, int, const Body& body) {
  constexpr int kPack = kRowPack<T>;
  [[maybe_unused]] constexpr int kHeldRows = Body::kHeldRows;
  if constexpr (kPack > 1) {
    if (rows > 0 && cols > 0 && cols % kPack == 0 && body.isAligned()) {
      const int64_t packs = cols / kPack;
      const auto bytes = [=](int size) {
        return (packs + size - 1) / size * kPack * kThreads * static_cast<int64_t>(sizeof(Compute<T>)) * kHeldRows;
      };
      int size = teamSize(rows, packs);
      if (size <= kWarp && bytes(size) > kHeldBytesOfWarps) size = kThreads;
      if (bytes(size) <= kHeldBytes) {
        const int held = static_cast<int>((packs + size - 1) / size * kPack * kThreads);
        return launchShared(rowKernel<kPack, Body>, gridForTeams(rows, size), bytes(size), rows, size, held, body);
      }
    }
  }
  return forEachRow(rows, row_elements, body);
}

// A thread for each column.
constexpr int kColumnBlock = 1;

template <class Body>
__global__ void AX_MAX_THREADS(kThreads) columnKernel(int64_t outer, int64_t inner, Body body) {
  const int64_t count = outer * inner;
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    body(i / inner, i % inner, 1);
  }
}

template <class Body>
int32_t forEachColumns(int64_t outer, int64_t, int64_t inner, const Body& body) {
  if (outer * inner == 0) return AX_OK;
  return launch(columnKernel<Body>, gridFor(outer * inner), outer, inner, body);
}

// Sums of one value for each block, and then of the blocks.
template <class F>
__global__ void AX_MAX_THREADS(kThreads) partialSumKernel(double* partial, int64_t count, F f) {
  double total = 0;
#pragma unroll 1
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += int64_t{kThreads} * gridDim.x) {
    total += static_cast<double>(f(i));
  }
  total = combineBlock(total, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

template <class T>
__global__ void AX_MAX_THREADS(kThreads) finalSumKernel(T* out, const double* partial, int count, double scale) {
  double total = 0;
  for (int i = threadIdx.x; i < count; i += kThreads) total += partial[i];
  total = combineBlock(total, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) *out = static_cast<T>(total * scale);
}

template <class T, class F>
int32_t sumInto(T* out, int64_t count, double scale, const F& f) {
  constexpr int64_t kOfThread = 4, kMostBlocks = 2048;  // enough reads under way at once without unrolled losses
  const int64_t wanted = (count + kOfThread * kThreads - 1) / (kOfThread * kThreads);
  const int blocks = static_cast<int>(wanted < 1 ? 1 : wanted < kMostBlocks ? wanted : kMostBlocks);
  void* partial;
  AX_TRY(scratch(kMostBlocks * sizeof(double), &partial));
  AX_TRY(launch(partialSumKernel<F>, blocks, static_cast<double*>(partial), count, f));
  return launch(finalSumKernel<T>, 1, out, static_cast<const double*>(partial), blocks, scale);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_TEAM_CUH_
