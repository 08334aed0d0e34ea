// Convolution on a GPU as matrix products whose operands are never written down: a tile's elements are gathered from where they lie.
//
// The forward pass multiplies the weights (rows: output channels) with the patches (columns: output pixels of all images); the gradient of the
// input does the same with the gradient's patches; that of the weights multiplies the gradient with the patches along all pixels. A group
// is a product of its own. Sums are in a fixed order.
#include "common/convolution.h"

#include "cuda/workspace.h"
#include "cuda/backend.cuh"
#include "cuda/matmul/launch.cuh"
#include "cuda/matmul/methods.h"
#include "cuda/matmul/simt.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

// A gradient of the output, zero where a fused ReLU was.
template <class T>
AX_HD Compute<T> masked(const T* gradient, const T* mask, int64_t position) {
  using C = Compute<T>;
  return mask == nullptr || static_cast<C>(mask[position]) > C(0) ? static_cast<C>(gradient[position]) : C(0);
}

// An image and a place in it, or a channel and a tap of the kernel.
struct PlanePlace {
  int32_t plane, y, x;
  AX_DEVICE PlanePlace(int32_t index, int32_t height, int32_t width)
      : plane(static_cast<int32_t>(static_cast<unsigned>(index) / static_cast<unsigned>(height * width))) {
    const auto rest = static_cast<unsigned>(index) % static_cast<unsigned>(height * width);
    y = static_cast<int32_t>(rest / static_cast<unsigned>(width));
    x = static_cast<int32_t>(rest % static_cast<unsigned>(width));
  }
};

// Products: m() x k() by k() x n() for each group. a(group, row, k) and b(group, column, k) are elements, where `Column` is what is known of a
// column; store(group, row, col, sum) takes a result.
template <class S>
struct Forward {
  using Storage = S;
  using T = Compute<S>;
  using Column = PlanePlace;
  ConvolutionShape s;
  S* out;
  const S *x, *weight, *bias;
  bool relu;

  AX_HD int64_t m() const { return s.groupOutputs(); }
  AX_HD int64_t n() const { return s.batch * s.outPixels(); }
  AX_HD int64_t k() const { return s.groupInputs() * s.kernelSize(); }
  AX_DEVICE Column column(int32_t col) const { return {col, s.out_height, s.out_width}; }
  AX_DEVICE T a(int32_t group, int32_t row, int32_t k_index) const { return T(weight[(group * m() + row) * k() + k_index]); }
  AX_DEVICE T b(int32_t group, const Column& to, int32_t k_index) const {
    const PlanePlace tap(k_index, s.kernel_height, s.kernel_width);
    const int32_t y = to.y * s.stride_height - s.padding_top + tap.y * s.dilation_height;
    const int32_t column = to.x * s.stride_width - s.padding_left + tap.x * s.dilation_width;
    if (y < 0 || y >= s.in_height || column < 0 || column >= s.in_width) return T(0);
    return T(x[((int64_t{to.plane} * s.in_channels + group * s.groupInputs() + tap.plane) * s.in_height + y) * s.in_width + column]);
  }
  AX_DEVICE void store(int32_t group, int32_t row, int32_t col, T sum) const {
    const int64_t channel = group * m() + row, pixels = s.outPixels();
    if (bias != nullptr) sum += T(bias[channel]);
    if (relu && sum < T(0)) sum = T(0);
    out[(col / pixels * s.out_channels + channel) * pixels + col % pixels] = S(sum);
  }
};

template <class S>
struct InputGradient {
  using Storage = S;
  using T = Compute<S>;
  using Column = PlanePlace;
  ConvolutionShape s;
  S* out;
  const S *gradient, *mask, *weight;

  AX_HD int64_t m() const { return s.groupInputs(); }
  AX_HD int64_t n() const { return s.batch * s.inPixels(); }
  AX_HD int64_t k() const { return s.groupOutputs() * s.kernelSize(); }
  AX_DEVICE Column column(int32_t col) const { return {col, s.in_height, s.in_width}; }
  AX_DEVICE T a(int32_t group, int32_t row, int32_t k_index) const {
    const int64_t size = s.kernelSize(), channel = group * s.groupOutputs() + k_index / size;
    return T(weight[(channel * m() + row) * size + k_index % size]);
  }
  AX_DEVICE T b(int32_t group, const Column& to, int32_t k_index) const {
    const PlanePlace tap(k_index, s.kernel_height, s.kernel_width);
    const int32_t y = to.y + s.padding_top - tap.y * s.dilation_height, column = to.x + s.padding_left - tap.x * s.dilation_width;
    if (y < 0 || y % s.stride_height != 0 || y / s.stride_height >= s.out_height) return T(0);
    if (column < 0 || column % s.stride_width != 0 || column / s.stride_width >= s.out_width) return T(0);
    const int64_t plane = int64_t{to.plane} * s.out_channels + group * s.groupOutputs() + tap.plane;
    return masked(gradient, mask, plane * s.outPixels() + y / s.stride_height * s.out_width + column / s.stride_width);
  }
  AX_DEVICE void store(int32_t group, int32_t row, int32_t col, T sum) const {
    const int64_t pixels = s.inPixels();
    out[(col / pixels * s.in_channels + group * m() + row) * pixels + col % pixels] = S(sum);
  }
};

template <class T>
AX_HD void addTo(T* out, Compute<T> sum, double beta) {
  using C = Compute<T>;
  *out = static_cast<T>(beta == 0 ? sum : sum + static_cast<C>(beta) * static_cast<C>(*out));
}

template <class S>
struct WeightGradient {
  using Storage = S;
  using T = Compute<S>;
  using Column = PlanePlace;
  ConvolutionShape s;
  S* out;
  const S *gradient, *mask, *x;
  double beta;

  AX_HD int64_t m() const { return s.groupOutputs(); }
  AX_HD int64_t n() const { return s.groupInputs() * s.kernelSize(); }
  AX_HD int64_t k() const { return s.batch * s.outPixels(); }
  AX_DEVICE Column column(int32_t col) const { return {col, s.kernel_height, s.kernel_width}; }
  AX_DEVICE T a(int32_t group, int32_t row, int32_t k_index) const {
    const int64_t pixels = s.outPixels(), plane = k_index / pixels * s.out_channels + group * m() + row;
    return masked(gradient, mask, plane * pixels + k_index % pixels);
  }
  AX_DEVICE T b(int32_t group, const Column& tap, int32_t k_index) const {
    const PlanePlace from(k_index, s.out_height, s.out_width);
    const int32_t y = from.y * s.stride_height - s.padding_top + tap.y * s.dilation_height;
    const int32_t column = from.x * s.stride_width - s.padding_left + tap.x * s.dilation_width;
    if (y < 0 || y >= s.in_height || column < 0 || column >= s.in_width) return T(0);
    return T(x[((int64_t{from.plane} * s.in_channels + group * s.groupInputs() + tap.plane) * s.in_height + y) * s.in_width + column]);
  }
  AX_DEVICE void store(int32_t group, int32_t row, int32_t col, T sum) const { addTo(out + (group * m() + row) * n() + col, sum, beta); }
};

template <class T>
using ConvolutionTile = SimtTile<T, 64, 64, 16, 2>;

// How the products are cut: blocks count tiles of columns, then of rows, then parts of k, then groups.
template <class T>
struct ConvolutionCut {
  int32_t tiles_m, tiles_n, splits, split_depth;
  T* partials;  // (split, group, m, n), where k is split
};

template <class P>
__global__ void AX_MAX_THREADS(256, 2) convolutionKernel(const __grid_constant__ P problem, ConvolutionCut<typename P::T> cut) {
  using T = typename P::T;
  using Tile = ConvolutionTile<T>;
  constexpr int kPart = Tile::kM * Tile::kDepth / Tile::kThreads;
  AX_DYNAMIC_SHARED(shared);
  T* const stages = reinterpret_cast<T*>(shared);
  const int32_t m = static_cast<int32_t>(problem.m()), n = static_cast<int32_t>(problem.n());
  unsigned rest = blockIdx.x;
  const auto next = [&](int32_t count) {
    const auto index = static_cast<int32_t>(rest % static_cast<unsigned>(count));
    rest /= static_cast<unsigned>(count);
    return index;
  };
  const int32_t col0 = next(cut.tiles_n) * Tile::kN, row0 = next(cut.tiles_m) * Tile::kM, split = next(cut.splits);
  const int32_t group = static_cast<int32_t>(rest), k0 = split * cut.split_depth;
  const int32_t k_end = static_cast<int32_t>(min(problem.k(), int64_t{k0} + cut.split_depth));
  // Elements of a lie along k, so neighbouring threads take neighbours on k; those of b along the columns.
  const int32_t a_place = threadIdx.x % Tile::kDepth, a_row = threadIdx.x / Tile::kDepth, b_col = threadIdx.x % Tile::kN, b_place = threadIdx.x / Tile::kN;
  const typename P::Column column = problem.column(min(col0 + b_col, n - 1));
  T part_a[kPart], part_b[kPart];
  const auto load = [&](int32_t k) {
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      const int32_t row = row0 + a_row + i * (Tile::kThreads / Tile::kDepth), k_a = k + a_place, k_b = k + b_place + i * (Tile::kThreads / Tile::kN);
      part_a[i] = row < m && k_a < k_end ? problem.a(group, row, k_a) : T(0);
      part_b[i] = col0 + b_col < n && k_b < k_end ? problem.b(group, column, k_b) : T(0);
    }
  };
  const auto keep = [&](T* stage) {
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      stage[a_place * Tile::kLdA + a_row + i * (Tile::kThreads / Tile::kDepth)] = part_a[i];
      stage[Tile::kDepth * Tile::kLdA + (b_place + i * (Tile::kThreads / Tile::kN)) * Tile::kLdB + b_col] = part_b[i];
    }
  };
  const int row = firstRowOfThread(), col = firstColOfThread();
  T sums[4][4] = {};
  load(k0);
  keep(stages);
  __syncthreads();
  int stage = 0;
#pragma unroll 1
  for (int32_t k = k0; k < k_end; k += Tile::kDepth, stage ^= 1) {
    const bool is_last = k + Tile::kDepth >= k_end;
    if (!is_last) load(k + Tile::kDepth);
    const T* const now = stages + stage * Tile::kStage;
    multiplyTile<Tile>(sums, now, now + Tile::kDepth * Tile::kLdA, row, col);
    if (!is_last) keep(stages + (stage ^ 1) * Tile::kStage);
    __syncthreads();
  }
  writeTile<Tile>(sums, stages, row, col, [&](int tile_row, int tile_col, T sum) {
    const int32_t to_row = row0 + tile_row, to_col = col0 + tile_col;
    if (to_row >= m || to_col >= n) return;
    if (cut.partials == nullptr) {
      problem.store(group, to_row, to_col, sum);
    } else {
      cut.partials[((int64_t{split} * problem.s.groups + group) * m + to_row) * n + to_col] = sum;
    }
  });
}

// Adds the parts of every sum in order.
template <class P>
__global__ void AX_MAX_THREADS(kThreads) addConvolutionPartsKernel(const __grid_constant__ P problem, ConvolutionCut<typename P::T> cut) {
  const unsigned m = static_cast<unsigned>(problem.m()), n = static_cast<unsigned>(problem.n()), count = static_cast<unsigned>(problem.s.groups) * m * n;
  for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kThreads * gridDim.x) {
    typename P::T sum = cut.partials[i];
    for (int32_t split = 1; split < cut.splits; ++split) sum += cut.partials[int64_t{split} * count + i];
    problem.store(static_cast<int32_t>(i / n / m), static_cast<int32_t>(i / n % m), static_cast<int32_t>(i % n), sum);
  }
}

template <class P>
int32_t convolve(const P& problem) {
  using T = typename P::T;
  using Tile = ConvolutionTile<T>;
  const int64_t groups = problem.s.groups;
  if (problem.m() * problem.n() == 0) return AX_OK;
  if (problem.n() > INT32_MAX || problem.k() > INT32_MAX) {
    return fail(AX_ERROR_UNSUPPORTED, "a convolution of more than 2^31 - 1 pixels is not available on a GPU");
  }
  ConvolutionCut<T> cut = {static_cast<int32_t>(divideUp(problem.m(), Tile::kM)), static_cast<int32_t>(divideUp(problem.n(), Tile::kN)), 1,
                           static_cast<int32_t>(problem.k()), nullptr};
  const int64_t tiles = int64_t{cut.tiles_m} * cut.tiles_n * groups, results = groups * problem.m() * problem.n();
  Workspace workspace;
  // Sums of parts exist for the gradient of weights only, which has few results of long sums.
  if constexpr (std::is_same_v<P, WeightGradient<typename P::Storage>>) {
    const int64_t wanted = min(divideUp(2 * multiprocessors(), tiles), min(problem.k() / kLeastSplitDepth, kMaxSplits));
    if (wanted > 1 && results <= kMaxCounted) {
      cut.split_depth = static_cast<int32_t>(divideUp(divideUp(problem.k(), wanted), Tile::kDepth) * Tile::kDepth);
      cut.splits = static_cast<int32_t>(divideUp(problem.k(), cut.split_depth));
      AX_TRY(workspace.take(static_cast<uint64_t>(results * cut.splits) * sizeof(T)));
      cut.partials = static_cast<T*>(workspace.address());
    }
  }
  AX_TRY(launchBlocks<convolutionKernel<P>>(tiles * cut.splits, Tile::kThreads, Tile::kSharedBytes, problem, cut));
  if constexpr (std::is_same_v<P, WeightGradient<typename P::Storage>>) {
    if (cut.partials != nullptr) return launchBlocks<addConvolutionPartsKernel<P>>(gridFor(results), kThreads, 0, problem, cut);
  }
  return AX_OK;
}

template <class T>
int32_t forward(const ConvolutionShape& s, T* out, const T* x, const T* weight, const T* bias, bool relu) {
  return convolve(Forward<T>{s, out, x, weight, bias, relu});
}

template <class T>
int32_t inputGradient(const ConvolutionShape& s, T* out, const T* gradient, const T* mask, const T* weight) {
  return convolve(InputGradient<T>{s, out, gradient, mask, weight});
}

// The sum of a channel's gradient over all images.
template <class T>
struct BiasBody {
  ConvolutionShape s;
  T* out;
  const T *gradient, *mask;
  double beta;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t channel) const {
    const auto pixels = static_cast<unsigned>(s.outPixels());
    const auto sum = team.template sum<Compute<T>>(int64_t{s.batch} * pixels, [&](int64_t index) {
      const auto i = static_cast<unsigned>(index), image = i / pixels;
      return masked(gradient, mask, (int64_t{image} * s.out_channels + channel) * pixels + i % pixels);
    });
    if (team.isFirst()) addTo(out + channel, sum, beta);
  }
};

template <class T>
int32_t weightGradient(const ConvolutionShape& s, T* out, T* bias_out, const T* gradient, const T* mask, const T* x, double beta,
                       double bias_beta) {
  AX_TRY(convolve(WeightGradient<T>{s, out, gradient, mask, x, beta}));
  return bias_out == nullptr ? AX_OK : forEachRow(s.out_channels, s.batch * s.outPixels(), BiasBody<T>{s, bias_out, gradient, mask, bias_beta});
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

#include "common/convolution_api.h"
