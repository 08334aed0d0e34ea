// The gradients of a convolution's weights and biases: sums over positions of the gradient times shifted planes.
#ifndef AX_CPU_CONVOLUTION_WEIGHT_GRADIENT_H_
#define AX_CPU_CONVOLUTION_WEIGHT_GRADIENT_H_
#include <atomic>
#include <cmath>

#include "common/convolution.h"
#include "cpu/convolution_blocks.h"
#include "cpu/convolution_tiles.h"

namespace ax {
inline namespace AX_ISA {

template <class T>
struct WeightGradientOperands {
  T *out, *bias_out;
  const T *gradient, *mask, *x;
  double beta, bias_beta;
};

// Sums over all positions of gradient times input, for planes of the input as the forward pass lays them out. Every part of the images
// has sums of its own, which are added in their order.
template <class T>
class WeightGradient {
 public:
  using C = Compute<T>;

  WeightGradient(const ConvolutionShape& shape, const PlaneLayout& whole, const WeightGradientOperands<T>& operands)
      : s(shape), o(operands), channels_(s.groupInputs()), rows_(s.groupOutputs()), taps_(channels_ * s.kernelSize()),
        tile_rows_(evenPart(rows_, kGradRows)), tile_taps_(evenPart(taps_, gradTaps(static_cast<int>(tile_rows_)))),
        row_tiles_(ceilDivide(rows_, tile_rows_)), tap_tiles_(ceilDivide(taps_, tile_taps_)),
        room_(gradientRoom<C>(static_cast<int>(tile_rows_), static_cast<int>(tile_taps_))),
        tile_(correlateGradientsOf<C>(static_cast<int>(tile_rows_), static_cast<int>(tile_taps_))), whole_(whole) {}

  int32_t run() {
    blocks_ = PlaneBlocks::choose(whole_, s.batch, channels_ + rows_, sizeof(C), kGradientBytes, kGradientPositions);
    const int64_t tiles = s.groups * row_tiles_, weights = tiles * tap_tiles_ * room_, size = weights + s.out_channels;
    const int64_t cost = std::max(size * blocks_.images * blocks_.rows * whole_.width.pitch, int64_t{1});
    const int64_t useful = std::max(blocks_.count() * cost / kConvGrain, int64_t{1}), threads = std::min<int64_t>(threadCount(), useful);
    const int64_t most = kSumBytes / static_cast<int64_t>(size * sizeof(C));
    parts_ = std::clamp(std::min(threads, most), int64_t{1}, std::max(blocks_.count(), int64_t{1}));
    const int64_t splits = std::clamp(threads / parts_, int64_t{1}, tiles);
    thread_local PlaneScratch scratch;
    C* const sums = scratch.atLeast<C>(parts_ * size);
    if (sums == nullptr) return failMemory();
    std::fill(sums, sums + parts_ * size, C(0));
    std::atomic<bool> out_of_memory{false};
    parallelFor(parts_ * splits, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i / splits, split = i % splits;
        if (!runPart(part, tiles * split / splits, tiles * (split + 1) / splits, sums + part * size)) out_of_memory = true;
      }
    });
    if (out_of_memory) return failMemory();
    parallelFor(s.out_channels, kConvGrain / (taps_ * parts_ + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) finishRow(sums, size, row);
    });
    return AX_OK;
  }

 private:
  // Bytes of planes that are read again and again, and positions that make the end of a tile's sums cheap.
  static constexpr int64_t kGradientBytes = int64_t{1536} << 10, kGradientPositions = 1024;
  static constexpr int64_t kSumBytes = int64_t{64} << 20;

  static int32_t failMemory() { return fail(AX_ERROR_OUT_OF_MEMORY, "no memory for the planes of a convolution"); }

  // A tile that would leave the group's rows starts early; what it computes twice is dropped.
  int64_t startOf(int64_t tile) const { return std::min(tile * tile_rows_, rows_ - tile_rows_); }

  C* tileSums(C* sums, int64_t tile, int64_t tap_tile) const { return sums + (tile * tap_tiles_ + tap_tile) * room_; }

  // Adds the parts of the gradients of one output channel.
  void finishRow(C* sums, int64_t size, int64_t row) const {
    const int64_t group = row / rows_, tile = row % rows_ / tile_rows_, within = row % rows_ - startOf(tile);
    for (int64_t tap = 0; tap < taps_; ++tap) {
      const C* const from = tileSums(sums, group * row_tiles_ + tile, tap / tile_taps_) + within * tile_taps_ + tap % tile_taps_;
      const C total = totalOf(from, size);
      finish(o.out + row * taps_ + tap, std::isfinite(total) ? total : exactSum(row, tap), o.beta);
    }
    if (o.bias_out != nullptr) finish(o.bias_out + row, totalOf(sums + size - s.out_channels + row, size), o.bias_beta);
  }

  C totalOf(const C* from, int64_t size) const {
    C total = from[0];
    for (int64_t part = 1; part < parts_; ++part) total += from[part * size];
    return total;
  }

  static void finish(T* to, C total, double beta) {
    if (beta != 0) total += static_cast<C>(beta) * static_cast<C>(*to);
    *to = static_cast<T>(total);
  }

  // The sum over those positions only at which the tap lies inside the input. The tiles also multiply the zeros between rows and around
  // them, which an infinite or NaN input turns into NaN for taps that never meet it.
  C exactSum(int64_t row, int64_t tap) const {
    const int64_t channel = row / rows_ * channels_ + tap / s.kernelSize(), within = tap % s.kernelSize();
    const int64_t down = within / s.kernel_width * s.dilation_height - s.padding_top;
    const int64_t right = within % s.kernel_width * s.dilation_width - s.padding_left;
    double total = 0;
    for (int64_t line = 0; line < int64_t{s.batch} * s.out_height && total == total; ++line) {
      const int64_t image = line / s.out_height, from_row = line % s.out_height * s.stride_height + down;
      if (from_row < 0 || from_row >= s.in_height) continue;
      const T* const from = o.x + ((image * s.in_channels + channel) * s.in_height + from_row) * s.in_width;
      const int64_t at = ((image * s.out_channels + row) * s.out_height + line % s.out_height) * s.out_width;
      for (int64_t x = 0; x < s.out_width; ++x) {
        const int64_t col = x * s.stride_width + right;
        if (col < 0 || col >= s.in_width) continue;
        const bool counts = o.mask == nullptr || static_cast<C>(o.mask[at + x]) > C(0);
        const C gradient = counts ? static_cast<C>(o.gradient[at + x]) : C(0);
        total += static_cast<double>(gradient) * static_cast<double>(static_cast<C>(from[col]));
      }
    }
    return static_cast<C>(total);
  }

  // The tiles of rows from first to last, over the blocks of one part.
  bool runPart(int64_t part, int64_t first, int64_t last, C* sums) const {
    thread_local PlaneScratch plane_scratch, gradient_scratch, offset_scratch;
    int64_t* const offsets = offset_scratch.atLeast<int64_t>(tap_tiles_ * tile_taps_);
    if (offsets == nullptr) return false;
    for (int64_t block = blocks_.count() * part / parts_; block < blocks_.count() * (part + 1) / parts_; ++block) {
      const PlaneLayout layout = blocks_.layoutOf(block, whole_, kWidth);
      const PlaneLayout rows_layout = gradientLayout(block, layout);
      C* const planes = plane_scratch.atLeast<C>(channels_ * layout.channel());
      C* const gradients = gradient_scratch.atLeast<C>(rows_ * rows_layout.plane);
      if (planes == nullptr || gradients == nullptr) return false;
      for (int64_t i = 0; i < tap_tiles_ * tile_taps_; ++i) {
        const int64_t tap = std::min(i, taps_ - 1), within = tap % s.kernelSize();
        offsets[i] = layout.offset(tap / s.kernelSize(), within / s.kernel_width, within % s.kernel_width);
      }
      for (int64_t tile = first; tile < last; ++tile) {
        const int64_t group = tile / row_tiles_, row = tile % row_tiles_ * tile_rows_;
        if (row == 0 || tile == first) {
          const int64_t stop = std::min(row_tiles_, tile % row_tiles_ + last - tile) * tile_rows_;
          fill(block, group, row, std::min(stop, rows_), layout, rows_layout, planes, gradients);
        }
        runTile(sums, tile, layout, rows_layout, planes, gradients, offsets);
      }
    }
    return true;
  }

  // The gradients at the positions of the inputs' planes, and zeros between.
  PlaneLayout gradientLayout(int64_t block, const PlaneLayout& layout) const {
    const auto axis = [](int64_t source, int64_t lead, int64_t positions, int64_t pitch) {
      return PlaneAxis{source, 1, lead, positions, 0, 1, 1, false, 1, 1, pitch};
    };
    const int64_t row = blocks_.firstRow(block);
    PlaneLayout g{axis(row + blocks_.rowsOf(block), -row, layout.height.positions, layout.height.pitch),
                  axis(s.out_width, 0, s.out_width, layout.width.pitch), layout.images, 0};
    g.choosePlane(kWidth);
    return g;
  }

  void fill(int64_t block, int64_t group, int64_t first_row, int64_t last_row, const PlaneLayout& layout, const PlaneLayout& rows_layout,
            C* planes, C* gradients) const {
    const int64_t image = blocks_.firstImage(block), in = s.inPixels(), pixels = s.outPixels();
    for (int64_t c = 0; c < channels_; ++c) {
      const T* const from = o.x + ((image * s.groups + group) * channels_ + c) * in;
      fillPlanes(planes + c * layout.channel(), layout, from, static_cast<const T*>(nullptr), s.in_channels * in);
    }
    for (int64_t row = first_row; row < last_row; ++row) {
      const int64_t at = ((image * s.groups + group) * rows_ + row) * pixels;
      const T* const masked = o.mask == nullptr ? nullptr : o.mask + at;
      fillPlanes(gradients + row * rows_layout.plane, rows_layout, o.gradient + at, masked, s.out_channels * pixels);
    }
  }

  void runTile(C* sums, int64_t tile, const PlaneLayout& layout, const PlaneLayout& rows_layout, const C* planes, const C* gradients,
               const int64_t* offsets) const {
    const int64_t group = tile / row_tiles_, first = tile % row_tiles_ * tile_rows_, start = startOf(tile % row_tiles_);
    const int64_t positions = ceilDivide(layout.end(), kWidth) * kWidth;
    for (int64_t i = 0; i < tap_tiles_; ++i) {
      tile_(tileSums(sums, tile, i), gradients + start * rows_layout.plane, rows_layout.plane, planes, offsets + i * tile_taps_, positions);
    }
    if (o.bias_out == nullptr) return;
    C* const bias_sums = tileSums(sums, s.groups * row_tiles_, 0) + group * rows_;
    for (int64_t row = first; row < std::min(first + tile_rows_, rows_); ++row) {
      C lanes[kWidth] = {}, total = 0;
      const C* const from = gradients + row * rows_layout.plane;
      for (int64_t q = 0; q < positions; q += kWidth) {
        for (int64_t lane = 0; lane < kWidth; ++lane) lanes[lane] += from[q + lane];
      }
      for (int64_t lane = 0; lane < kWidth; ++lane) total += lanes[lane];
      bias_sums[row] += total;
    }
  }

  static constexpr int64_t kWidth = Vector<C>::kLanes;
  const ConvolutionShape s;
  const WeightGradientOperands<T> o;
  const int64_t channels_, rows_, taps_, tile_rows_, tile_taps_, row_tiles_, tap_tiles_, room_;
  const CorrelateGradients<C> tile_;
  const PlaneLayout whole_;
  PlaneBlocks blocks_{};
  int64_t parts_ = 1;
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVOLUTION_WEIGHT_GRADIENT_H_
