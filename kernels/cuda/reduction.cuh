// Reductions on a GPU: see common/reduction.h. One kernel for each type runs all of them: the branch on the operation is the same for
// all threads and is taken once for several elements.
//
// A block has several teams of threads, one for each output. Where the reduced elements are neighbours, the threads of a team are; where
// the outputs are (sums over rows of a matrix), neighbouring threads belong to different teams: reads are of neighbours in both cases.
// Where the outputs are few, their elements are split among blocks, and a second launch combines the splits in order. All of it follows
// from the shape alone, so results are deterministic.
#ifndef AX_CUDA_REDUCTION_CUH_
#define AX_CUDA_REDUCTION_CUH_
#include "common/walk.h"
#include "cuda/combine.cuh"
#include "cuda/dimensions.cuh"
#include "cuda/operand.cuh"
#include "cuda/scratch.h"

namespace ax {
inline namespace AX_ISA {

#define AX_ID(name, Functor) kReduce_##name,
enum ReductionId { AX_REDUCE_OPS(AX_ID) };
#undef AX_ID

template <class F>
inline constexpr int32_t kReductionOf = -1;
#define AX_NUMBER(name, Functor) \
  template <>                    \
  inline constexpr int32_t kReductionOf<maths::Functor> = kReduce_##name;
AX_REDUCE_OPS(AX_NUMBER)
#undef AX_NUMBER

// What the results of splits are combined by.
inline int32_t combinationOf(int32_t op) { return op == kReduce_sum_abs || op == kReduce_sum_squares ? kReduce_sum : op; }

// How outputs and elements are shared among threads.
struct ReductionPlan {
  Dimensions kept, reduced;
  int64_t kept_count, reduced_count;
  int32_t team_size, splits;
  bool by_columns;

  __host__ __device__ int teams() const { return kThreads / team_size; }
  __device__ int member() const { return by_columns ? threadIdx.x / teams() : threadIdx.x % team_size; }
  __device__ int team() const { return by_columns ? threadIdx.x % teams() : threadIdx.x / team_size; }
  __device__ int64_t output() const { return int64_t{blockIdx.x} * teams() + team(); }
  __device__ int64_t begin() const { return reduced_count / splits * blockIdx.y + min(int64_t{blockIdx.y}, reduced_count % splits); }
  __device__ int64_t end() const { return begin() + reduced_count / splits + (blockIdx.y < reduced_count % splits ? 1 : 0); }

  static ReductionPlan of(const Walk& walk) {
    constexpr int64_t kElementsOfThread = 16, kBlocks = 1024, kLongRow = 1024;
    ReductionPlan plan{};
    plan.kept = Dimensions::of(walk.kept_ndim, walk.kept, walk.kept + walk.kept_ndim);
    plan.reduced = Dimensions::of(walk.reduced_ndim, walk.reduced, walk.reduced + walk.reduced_ndim);
    plan.kept_count = walk.keptCount();
    plan.reduced_count = walk.reducedCount();
    const int last_kept = walk.kept_ndim - 1, last_reduced = walk.reduced_ndim - 1;
    plan.by_columns = last_kept >= 0 && walk.kept[last_kept] >= 4 && last_reduced >= 0 &&
                      walk.kept[walk.kept_ndim + last_kept] < walk.reduced[walk.reduced_ndim + last_reduced];
    if (plan.by_columns) {
      plan.team_size = kThreads / kWarp;
    } else {
      const int64_t most = plan.reduced_count > kLongRow || plan.kept_count < kBlocks ? kThreads : kWarp;
      plan.team_size = 1;
      while (plan.team_size < plan.reduced_count && plan.team_size < kWarp) plan.team_size *= 2;
      if (plan.team_size < plan.reduced_count && most == kThreads) plan.team_size = kThreads;
    }
    const int64_t blocks = plan.blocks(), work = plan.reduced_count / (kElementsOfThread * plan.team_size);
    plan.splits = static_cast<int32_t>(std::max<int64_t>(1, std::min(kBlocks / (blocks < 1 ? 1 : blocks), work)));
    return plan;
  }
  int64_t blocks() const { return (kept_count + teams() - 1) / teams(); }
  dim3 grid() const { return dim3(static_cast<unsigned>(blocks()), static_cast<unsigned>(splits)); }

  // The combination of the splits' results, which lie split after split.
  ReductionPlan ofSplits() const {
    Walk walk{};
    walk.kept_ndim = walk.reduced_ndim = 1;
    walk.kept[0] = static_cast<int32_t>(kept_count);
    walk.kept[1] = 1;
    walk.reduced[0] = splits;
    walk.reduced[1] = static_cast<int32_t>(kept_count);
    ReductionPlan plan = of(walk);
    plan.splits = 1;
    return plan;
  }
};

// One value of every thread, combined for each team; the member 0 gets the result.
template <class X, class Combine>
__device__ X combineTeam(const ReductionPlan& plan, X value, const Combine& combine) {
  if (!plan.by_columns) {
    value = combineLanes(0xffffffff, min(plan.team_size, kWarp), value, combine);
    if (plan.team_size <= kWarp) return value;
    AX_SHARED(X, partial, [kWarps]);
    return combineWarps(partial, value, combine);
  }
  AX_SHARED(X, values, [kThreads]);
  values[threadIdx.x] = value;
  __syncthreads();
#pragma unroll 1
  for (int other = threadIdx.x + plan.teams(); plan.member() == 0 && other < kThreads; other += plan.teams()) {
    value = combine(value, values[other]);
  }
  return value;
}

template <class C>
__device__ C combineBy(int32_t op, C a, C b) {
  switch (op) {
#define AX_CASE(name, Functor) case kReduce_##name: return maths::Functor::template combine<C>(a, b);
    AX_REDUCE_OPS(AX_CASE)
#undef AX_CASE
  }
  return a;
}

template <class C>
__device__ C identityOf(int32_t op) {
  switch (op) {
#define AX_CASE(name, Functor) case kReduce_##name: return maths::Functor::template identity<C>();
    AX_REDUCE_OPS(AX_CASE)
#undef AX_CASE
  }
  return C(0);
}

constexpr int kReadsAtOnce = 4;

template <class C>
__device__ C accumulate(int32_t op, C total, const C (&values)[kReadsAtOnce], int count) {
  switch (op) {
#define AX_CASE(name, Functor)                                                                                                 \
  case kReduce_##name:                                                                                                         \
    _Pragma("unroll") for (int k = 0; k < kReadsAtOnce; ++k) {                                                                 \
      if (k < count) total = maths::Functor::template combine<C>(total, maths::Functor::template map<C>(values[k]));           \
    }                                                                                                                          \
    return total;
    AX_REDUCE_OPS(AX_CASE)
#undef AX_CASE
  }
  return total;
}

// Calls f(values, first, count) for the elements of a thread, several at a time: values[k] is element first + k * team_size.
template <class C, class F>
__device__ void readElements(const ReductionPlan& plan, const Operand& x, int64_t base, const F& f) {
  const int64_t end = plan.end(), step = plan.team_size;
#pragma unroll 1
  for (int64_t i = plan.begin() + plan.member(); i < end; i += kReadsAtOnce * step) {
    int64_t at[kReadsAtOnce];
    C values[kReadsAtOnce];
    int count = 0;
#pragma unroll
    for (int k = 0; k < kReadsAtOnce; ++k) {
      at[k] = i + k * step < end ? base + plan.reduced.position(i + k * step) : -1;
      count += at[k] >= 0;
    }
    loadElements(x, at, values);
    f(values, i, count);
  }
}

template <class C>
__global__ void AX_MAX_THREADS(kThreads) reduceKernel(Operand out, Operand x, ReductionPlan plan, int32_t op, double scale, double beta) {
  const int64_t k = plan.output();
  C total = identityOf<C>(op);
  if (k < plan.kept_count) {
    readElements<C>(plan, x, plan.kept.position(k), [&](const C(&values)[kReadsAtOnce], int64_t, int count) {
      total = accumulate(op, total, values, count);
    });
  }
  total = combineTeam(plan, total, [=](C a, C b) { return combineBy(op, a, b); });
  if (plan.member() != 0 || k >= plan.kept_count) return;
  if (scale != 1) total = static_cast<C>(total * static_cast<C>(scale));
  if (beta != 0) total = static_cast<C>(total + static_cast<C>(beta) * loadElement<C>(out, k));
  storeElement<C>(out, int64_t{blockIdx.y} * plan.kept_count + k, total);
}

template <class C>
int32_t reduceAnyElements(int32_t op, const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  const ReductionPlan plan = ReductionPlan::of(walk);
  if (plan.kept_count == 0) return AX_OK;
  if (plan.splits == 1) return launch(reduceKernel<C>, plan.grid(), out, x, plan, op, scale, beta);
  Operand partial{nullptr, kDtypeOf<C>};
  AX_TRY(scratch(static_cast<uint64_t>(plan.kept_count * plan.splits) * sizeof(C), &partial.data));
  AX_TRY(launch(reduceKernel<C>, plan.grid(), partial, x, plan, op, 1.0, 0.0));
  const ReductionPlan last = plan.ofSplits();
  return launch(reduceKernel<C>, last.grid(), out, partial, last, combinationOf(op), scale, beta);
}

template <class F, class C>
int32_t reduceElements(const Operand& out, const Operand& x, const Walk& walk, double scale, double beta) {
  return reduceAnyElements<C>(kReductionOf<F>, out, x, walk, scale, beta);
}

template <class C>
struct Best {
  C value;
  int64_t index;  // -1: of nothing
};

// The first NaN wins, then the extreme value, then the smaller index.
template <class C>
__device__ Best<C> better(const Best<C>& a, const Best<C>& b, bool maximum) {
  if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan ? a : b;
  if (a_nan || a.value == b.value) return a.index < b.index ? a : b;
  return (maximum ? a.value > b.value : a.value < b.value) ? a : b;
}

// With `partial`, the best of each split goes there, split after split.
template <class C>
__global__ void AX_MAX_THREADS(kThreads) argReduceKernel(int64_t* out, Best<C>* partial, Operand x, ReductionPlan plan, bool maximum) {
  const int64_t k = plan.output();
  Best<C> best{C(0), -1};
  if (k < plan.kept_count) {
    readElements<C>(plan, x, plan.kept.position(k), [&](const C(&values)[kReadsAtOnce], int64_t first, int count) {
#pragma unroll
      for (int n = 0; n < kReadsAtOnce; ++n) {
        if (n < count) best = better(best, Best<C>{values[n], first + n * plan.team_size}, maximum);
      }
    });
  }
  best = combineTeam(plan, best, [=](const Best<C>& a, const Best<C>& b) { return better(a, b, maximum); });
  if (plan.member() != 0 || k >= plan.kept_count) return;
  if (partial == nullptr) out[k] = best.index;
  else partial[int64_t{blockIdx.y} * plan.kept_count + k] = best;
}

template <class C>
__global__ void AX_MAX_THREADS(kThreads) bestOfSplitsKernel(int64_t* out, const Best<C>* partial, int64_t kept_count, int splits, bool maximum) {
  const int64_t k = blockIdx.x;
  Best<C> best{C(0), -1};
  for (int split = threadIdx.x; split < splits; split += kThreads) best = better(best, partial[split * kept_count + k], maximum);
  best = combineBlock(best, [=](const Best<C>& a, const Best<C>& b) { return better(a, b, maximum); });
  if (threadIdx.x == 0) out[k] = best.index;
}

template <class C>
int32_t argReduceElements(int64_t* out, const Operand& x, const Walk& walk, bool maximum) {
  const ReductionPlan plan = ReductionPlan::of(walk);
  if (plan.kept_count == 0) return AX_OK;
  void* partial = nullptr;
  if (plan.splits > 1) AX_TRY(scratch(static_cast<uint64_t>(plan.kept_count * plan.splits) * sizeof(Best<C>), &partial));
  AX_TRY(launch(argReduceKernel<C>, plan.grid(), out, static_cast<Best<C>*>(partial), x, plan, maximum));
  if (plan.splits == 1) return AX_OK;
  return launch(bestOfSplitsKernel<C>, static_cast<unsigned>(plan.kept_count), out, static_cast<const Best<C>*>(partial),
                plan.kept_count, static_cast<int>(plan.splits), maximum);
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CUDA_REDUCTION_CUH_
