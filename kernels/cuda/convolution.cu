// Convolution on a GPU as matrix products whose operands are never written down: a tile's elements are gathered from where they lie.
//
// The forward pass multiplies the weights (rows: output channels) with the patches (columns: output pixels of all images); the gradient of the
// input does the same with the gradient's patches; that of the weights multiplies the gradient with the patches along all pixels. A group
// is a product of its own. Sums are in a fixed order.
#include "common/convolution.h"

#include "cuda/backend.cuh"
#include "cuda/matmul/launch.cuh"
#include "cuda/matmul/methods.h"
#include "cuda/matmul/simt.cuh"
#include "cuda/scratch.h"

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
    const unsigned rest = static_cast<unsigned>(index) - static_cast<unsigned>(plane * height * width);
    y = static_cast<int32_t>(rest / static_cast<unsigned>(width));
    x = static_cast<int32_t>(rest) - y * width;
  }
};

// Where pixel `index` of all images lies in a channel of (images, channels, pixels).
AX_DEVICE int64_t placeOf(int32_t index, int32_t pixels, int32_t channels, int32_t channel) {
  const PlanePlace place(index, 1, pixels);
  return (int64_t{place.plane} * channels + channel) * pixels + place.x;
}

// The shape, and sizes of a product that would cost the device a division each: m x k by k x n, for each group.
struct Sizes {
  ConvolutionShape s;
  int32_t m, n, k, in_channels, out_channels, taps;  // channels of a group

  // False when a size does not fit.
  bool set(int64_t m_, int64_t n_, int64_t k_) {
    m = static_cast<int32_t>(m_);
    n = static_cast<int32_t>(n_);
    k = static_cast<int32_t>(k_);
    return m == m_ && n == n_ && k == k_;
  }
  explicit Sizes(const ConvolutionShape& shape)
      : s(shape), m(0), n(0), k(0), in_channels(static_cast<int32_t>(s.groupInputs())), out_channels(static_cast<int32_t>(s.groupOutputs())),
        taps(static_cast<int32_t>(s.kernelSize())) {}
};

// Products: m x k by k x n for each group. a(group, row, k) and b(group, column, k) are elements, where `Column` is what is known of a
// column; store(group, row, col, sum) takes a result.
template <class S>
struct Forward : Sizes {
  using Storage = S;
  using T = Compute<S>;
  using Column = PlanePlace;
  S* out;
  const S *x, *weight, *bias;
  bool relu;

  bool fits() { return set(out_channels, s.batch * s.outPixels(), int64_t{in_channels} * taps); }
  AX_DEVICE Column column(int32_t col) const { return {col, s.out_height, s.out_width}; }
  AX_DEVICE T a(int32_t group, int32_t row, int32_t k_index) const { return T(weight[(int64_t{group} * m + row) * k + k_index]); }
  AX_DEVICE T b(int32_t group, const Column& to, int32_t k_index) const {
    const PlanePlace tap(k_index, s.kernel_height, s.kernel_width);
    const int32_t y = to.y * s.stride_height - s.padding_top + tap.y * s.dilation_height;
    const int32_t column = to.x * s.stride_width - s.padding_left + tap.x * s.dilation_width;
    if (y < 0 || y >= s.in_height || column < 0 || column >= s.in_width) return T(0);
    return T(x[((int64_t{to.plane} * s.in_channels + group * in_channels + tap.plane) * s.in_height + y) * s.in_width + column]);
  }
  AX_DEVICE void store(int32_t group, int32_t row, int32_t col, T sum) const {
    const int32_t channel = group * m + row;
    if (bias != nullptr) sum += T(bias[channel]);
    if (relu && sum < T(0)) sum = T(0);
    out[placeOf(col, static_cast<int32_t>(s.outPixels()), s.out_channels, channel)] = S(sum);
  }
};

template <class S>
struct InputGradient : Sizes {
  using Storage = S;
  using T = Compute<S>;
  using Column = PlanePlace;
  S* out;
  const S *gradient, *mask, *weight;

  bool fits() { return set(in_channels, s.batch * s.inPixels(), int64_t{out_channels} * taps); }
  AX_DEVICE Column column(int32_t col) const { return {col, s.in_height, s.in_width}; }
  AX_DEVICE T a(int32_t group, int32_t row, int32_t k_index) const {
    const PlanePlace tap(k_index, 1, taps);
    return T(weight[((int64_t{group} * out_channels + tap.plane) * m + row) * taps + tap.x]);
  }
  AX_DEVICE T b(int32_t group, const Column& to, int32_t k_index) const {
    const PlanePlace tap(k_index, s.kernel_height, s.kernel_width);
    const int32_t y = to.y + s.padding_top - tap.y * s.dilation_height, column = to.x + s.padding_left - tap.x * s.dilation_width;
    if (y < 0 || column < 0) return T(0);
    const int32_t from_y = y / s.stride_height, from_x = column / s.stride_width;
    if (from_y * s.stride_height != y || from_y >= s.out_height || from_x * s.stride_width != column || from_x >= s.out_width) return T(0);
    const int64_t plane = int64_t{to.plane} * s.out_channels + group * out_channels + tap.plane;
    return masked(gradient, mask, (plane * s.out_height + from_y) * s.out_width + from_x);
  }
  AX_DEVICE void store(int32_t group, int32_t row, int32_t col, T sum) const {
    out[placeOf(col, static_cast<int32_t>(s.inPixels()), s.in_channels, group * m + row)] = S(sum);
  }
};

template <class T>
AX_HD void addTo(T* out, Compute<T> sum, double beta) {
  using C = Compute<T>;
  *out = static_cast<T>(beta == 0 ? sum : sum + static_cast<C>(beta) * static_cast<C>(*out));
}

template <class S>
struct WeightGradient : Sizes {
  using Storage = S;
  using T = Compute<S>;
  using Column = PlanePlace;
  S* out;
  const S *gradient, *mask, *x;
  double beta;

  bool fits() { return set(out_channels, int64_t{in_channels} * taps, s.batch * s.outPixels()); }
  AX_DEVICE Column column(int32_t col) const { return {col, s.kernel_height, s.kernel_width}; }
  AX_DEVICE T a(int32_t group, int32_t row, int32_t k_index) const {
    return masked(gradient, mask, placeOf(k_index, static_cast<int32_t>(s.outPixels()), s.out_channels, group * m + row));
  }
  AX_DEVICE T b(int32_t group, const Column& tap, int32_t k_index) const {
    const PlanePlace from(k_index, s.out_height, s.out_width);
    const int32_t y = from.y * s.stride_height - s.padding_top + tap.y * s.dilation_height;
    const int32_t column = from.x * s.stride_width - s.padding_left + tap.x * s.dilation_width;
    if (y < 0 || y >= s.in_height || column < 0 || column >= s.in_width) return T(0);
    return T(x[((int64_t{from.plane} * s.in_channels + group * in_channels + tap.plane) * s.in_height + y) * s.in_width + column]);
  }
  AX_DEVICE void store(int32_t group, int32_t row, int32_t col, T sum) const { addTo(out + (int64_t{group} * m + row) * n + col, sum, beta); }
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
__global__ void AX_MAX_THREADS(256, sizeof(typename P::T) == 8 ? 1 : 2) convolutionKernel(const __grid_constant__ P problem, ConvolutionCut<typename P::T> cut) {
  using T = typename P::T;
  using Tile = ConvolutionTile<T>;
  constexpr int kPart = Tile::kM * Tile::kDepth / Tile::kThreads;
  AX_DYNAMIC_SHARED(shared);
  T* const stages = reinterpret_cast<T*>(shared);
  const int32_t m = problem.m, n = problem.n;
  unsigned rest = blockIdx.x;
  const auto next = [&](int32_t count) {
    const auto index = static_cast<int32_t>(rest % static_cast<unsigned>(count));
    rest /= static_cast<unsigned>(count);
    return index;
  };
  const int32_t col0 = next(cut.tiles_n) * Tile::kN, row0 = next(cut.tiles_m) * Tile::kM, split = next(cut.splits);
  const int32_t group = static_cast<int32_t>(rest), k0 = split * cut.split_depth;
  const int32_t k_end = static_cast<int32_t>(min(int64_t{problem.k}, int64_t{k0} + cut.split_depth));
  // Elements of a lie along k, so neighbouring threads take neighbours on k; those of b along the columns.
  const int32_t a_place = threadIdx.x % Tile::kDepth, a_row = threadIdx.x / Tile::kDepth;
  const int32_t b_col = threadIdx.x % Tile::kN, b_place = threadIdx.x / Tile::kN;
  const typename P::Column column = problem.column(min(col0 + b_col, n - 1));
  T part_a[kPart], part_b[kPart];
  const auto load = [&](int32_t k) {
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      const int32_t row = row0 + a_row + i * (Tile::kThreads / Tile::kDepth), k_a = k + a_place;
      const int32_t k_b = k + b_place + i * (Tile::kThreads / Tile::kN);
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
  // A tile is loaded while the one before is multiplied; the code for loading, which is long, stands once.
  const int32_t tiles = (k_end - k0 + Tile::kDepth - 1) / Tile::kDepth;
#pragma unroll 1
  for (int32_t tile = 0; tile <= tiles; ++tile) {
    if (tile < tiles) load(k0 + tile * Tile::kDepth);
    const T* const before = stages + (tile + 1) % 2 * Tile::kStage;
    if (tile > 0) multiplyTile<Tile>(sums, before, before + Tile::kDepth * Tile::kLdA, row, col);
    if (tile < tiles) keep(stages + tile % 2 * Tile::kStage);
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
  const unsigned m = static_cast<unsigned>(problem.m), n = static_cast<unsigned>(problem.n);
  const unsigned count = static_cast<unsigned>(problem.s.groups) * m * n;
  for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < count; i += kThreads * gridDim.x) {
    typename P::T sum = cut.partials[i];
    for (int32_t split = 1; split < cut.splits; ++split) sum += cut.partials[int64_t{split} * count + i];
    problem.store(static_cast<int32_t>(i / n / m), static_cast<int32_t>(i / n % m), static_cast<int32_t>(i % n), sum);
  }
}

template <class P>
int32_t convolve(P problem) {
  using T = typename P::T;
  using Tile = ConvolutionTile<T>;
  const int64_t groups = problem.s.groups;
  if (!problem.fits()) return fail(AX_ERROR_UNSUPPORTED, "a convolution of more than 2^31 - 1 pixels is not available on a GPU");
  if (problem.m == 0 || problem.n == 0) return AX_OK;
  ConvolutionCut<T> cut = {static_cast<int32_t>(divideUp(problem.m, Tile::kM)), static_cast<int32_t>(divideUp(problem.n, Tile::kN)), 1,
                           problem.k, nullptr};
  const int64_t tiles = int64_t{cut.tiles_m} * cut.tiles_n * groups, results = groups * int64_t{problem.m} * problem.n;
  // Sums of parts exist for the gradient of weights only, which has few results of long sums.
  if constexpr (std::is_same_v<P, WeightGradient<typename P::Storage>>) {
    const int64_t wanted = min(divideUp(2 * multiprocessors(), tiles), min(problem.k / kLeastSplitDepth, kMaxSplits));
    if (wanted > 1 && results <= kMaxCounted) {
      cut.split_depth = static_cast<int32_t>(divideUp(divideUp(problem.k, wanted), Tile::kDepth) * Tile::kDepth);
      cut.splits = static_cast<int32_t>(divideUp(problem.k, cut.split_depth));
      void* workspace;
      AX_TRY(scratch(static_cast<size_t>(results * cut.splits) * sizeof(T), &workspace));
      cut.partials = static_cast<T*>(workspace);
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
  return convolve(Forward<T>{Sizes(s), out, x, weight, bias, relu});
}

template <class T>
int32_t inputGradient(const ConvolutionShape& s, T* out, const T* gradient, const T* mask, const T* weight) {
  return convolve(InputGradient<T>{Sizes(s), out, gradient, mask, weight});
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
  AX_TRY(convolve(WeightGradient<T>{Sizes(s), out, gradient, mask, x, beta}));
  return bias_out == nullptr ? AX_OK : forEachRow(s.out_channels, s.batch * s.outPixels(), BiasBody<T>{s, bias_out, gradient, mask, bias_beta});
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

#include "common/convolution_api.h"
