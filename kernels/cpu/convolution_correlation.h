// The forward pass of a convolution and the gradient of its input: tiles of channels by positions, over the planes of a block.
#ifndef AX_CPU_CONVOLUTION_CORRELATION_H_
#define AX_CPU_CONVOLUTION_CORRELATION_H_
#include <atomic>
#include <type_traits>

#include "common/status.h"
#include "cpu/convolution_blocks.h"
#include "cpu/convolution_tiles.h"

namespace ax {
inline namespace AX_ISA {

// Bytes of packed weights that are used for all positions before the next ones.
constexpr int64_t kWeightBytes = int64_t{384} << 10;
// Bytes of planes that stay in the cache of a core, and positions that fill tiles well.
constexpr int64_t kPlaneBytes = int64_t{384} << 10, kPlanePositions = 512;

// The taps of one phase in one direction, and the outputs that they make: position y, from begin to end, is output y * step + origin.
struct PassAxis {
  int64_t begin, end, step, origin;
  int64_t first_tap, tap_step, taps;
};

// Outputs that share their taps: everything in the forward pass, one phase in the gradient of the input.
struct Pass {
  PassAxis height, width;
  int64_t weights;  // where its packed weights begin
};

// Part of a tile that is stored at once: `count` elements of every row from `from` on go to `to`; `room` elements may be written there.
struct Segment {
  int64_t from, count, to, room;
};

// From in (batch, groups * channels, in_pixels) to out (batch, groups * rows, out_height, out_width). Mask and bias may be null.
template <class T>
struct CorrelationOperands {
  int64_t batch, groups, channels, rows, out_height, out_width, in_pixels;
  PlaneLayout whole;
  bool relu;
  T* out;
  const T *in, *mask, *bias;
};

template <class T>
class Correlation : CorrelationOperands<T> {
  using O = CorrelationOperands<T>;
  using C = Compute<T>;
  using O::batch, O::groups, O::channels, O::rows, O::out_height, O::out_width, O::in_pixels, O::whole, O::relu, O::out, O::in, O::mask, O::bias;

 public:
  explicit Correlation(const O& operands)
      : O(operands), height_(evenPart(rows, kTileRows)), panels_(ceilDivide(rows, height_)),
        positions_(tilePositions<C>(static_cast<int>(height_))), tile_(correlateTileOf<C>(static_cast<int>(height_))) {}

  // `weight(group, row, channel, row_tap, col_tap)` reads the weights as this correlation sees them.
  template <class Weight>
  int32_t run(Pass* passes, int64_t pass_count, const Weight& weight) {
    int64_t total = 0, all_taps = 0;
    for (int64_t i = 0; i < pass_count; ++i) {
      passes[i].weights = total;
      total += groups * panels_ * panelOf(passes[i]);
      all_taps += tapsOf(passes[i]);
    }
    thread_local PlaneScratch scratch;
    C* const weights = scratch.atLeast<C>(total);
    if (weights == nullptr) return failMemory();
    for (int64_t i = 0; i < pass_count; ++i) pack(weights + passes[i].weights, passes[i], weight);
    const Blocks blocks = Blocks::choose(whole, batch, channels, sizeof(C), kPlaneBytes, kPlanePositions);
    const int64_t units = blocks.count() * groups;
    const int64_t splits = std::min(panels_, std::max(threadCount() / std::max(units, int64_t{1}), int64_t{1}));
    const int64_t cost = rows * (all_taps + channels) * blocks.images * blocks.rows * whole.width.pitch / splits;
    std::atomic<bool> out_of_memory{false};
    parallelFor(units * splits, kConvGrain / (cost + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t split = unit % splits, first = panels_ * split / splits, last = panels_ * (split + 1) / splits;
        if (!runBlock(blocks, unit / splits / groups, unit / splits % groups, passes, pass_count, weights, first, last)) out_of_memory = true;
      }
    });
    return out_of_memory ? failMemory() : AX_OK;
  }

 private:
  static int32_t failMemory() { return fail(AX_ERROR_OUT_OF_MEMORY, "no memory for the planes of a convolution"); }

  int64_t tapsOf(const Pass& pass) const { return channels * pass.height.taps * pass.width.taps; }
  int64_t panelOf(const Pass& pass) const { return (tapsOf(pass) + 1) * height_; }

  // body(channel, row_tap, col_tap) for all taps of a pass.
  template <class Body>
  void eachTap(const Pass& pass, const Body& body) const {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t r = 0; r < pass.height.taps; ++r) {
        for (int64_t s = 0; s < pass.width.taps; ++s) {
          body(c, pass.height.first_tap + r * pass.height.tap_step, pass.width.first_tap + s * pass.width.tap_step);
        }
      }
    }
  }

  // Panels of height_ rows: their biases, then for every tap their weights; rows that do not exist are zero.
  template <class Weight>
  void pack(C* weights, const Pass& pass, const Weight& weight) const {
    const int64_t panel = panelOf(pass);
    parallelFor(groups * panels_, kConvGrain / panel + 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t group = p / panels_, first = p % panels_ * height_, count = std::min(height_, rows - first);
        C* to = weights + p * panel;
        for (int64_t i = 0; i < height_; ++i) to[i] = i < count && bias != nullptr ? static_cast<C>(bias[group * rows + first + i]) : C(0);
        eachTap(pass, [&](int64_t channel, int64_t row_tap, int64_t col_tap) {
          to += height_;
          for (int64_t i = 0; i < count; ++i) to[i] = static_cast<C>(weight(group, first + i, channel, row_tap, col_tap));
          for (int64_t i = count; i < height_; ++i) to[i] = C(0);
        });
      }
    });
  }

  bool runBlock(const Blocks& blocks, int64_t block, int64_t group, const Pass* passes, int64_t pass_count, const C* all_weights,
                int64_t first_panel, int64_t last_panel) const {
    thread_local PlaneScratch plane_scratch, offset_scratch;
    const PlaneLayout layout = blocks.layoutOf(block, whole, positions_);
    C* const planes = plane_scratch.atLeast<C>(channels * layout.channel());
    if (planes == nullptr) return false;
    const int64_t image_stride = groups * channels * in_pixels;
    const int64_t source = blocks.firstImage(block) * image_stride + group * channels * in_pixels;
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = source + c * in_pixels;
      fillPlanes(planes + c * layout.channel(), layout, in + at, mask == nullptr ? nullptr : mask + at, image_stride);
    }
    T* const to = out + (blocks.firstImage(block) * groups + group) * rows * out_height * out_width;
    for (int64_t i = 0; i < pass_count; ++i) {
      const Pass& pass = passes[i];
      const int64_t taps = tapsOf(pass), panel = panelOf(pass);
      const C* const weights = all_weights + pass.weights + group * panels_ * panel;
      int64_t* const offsets = offset_scratch.atLeast<int64_t>(taps + 1);
      if (offsets == nullptr) return false;
      int64_t* next = offsets;
      eachTap(pass, [&](int64_t channel, int64_t row_tap, int64_t col_tap) { *next++ = layout.offset(channel, row_tap, col_tap); });
      const int64_t together = std::max(kWeightBytes / static_cast<int64_t>(panel * sizeof(C)), int64_t{1});
      for (int64_t p = first_panel; p < last_panel; p += together) {
        const int64_t count = std::min(last_panel - p, together);
        runPanels(to + p * height_ * out_height * out_width, rows - p * height_, count, weights + p * panel, taps, planes, offsets, layout, pass,
                  blocks.firstRow(block));
      }
    }
    return true;
  }

  // All positions of a block for `count` panels, the first of which begins a range of `rows_left` rows.
  void runPanels(T* to, int64_t rows_left, int64_t count, const C* weights, int64_t taps, const C* planes, const int64_t* offsets,
                 const PlaneLayout& layout, const Pass& pass, int64_t first_row) const {
    constexpr int kWidth = ConvVector<C>::kWidth;
    const int64_t pixels = out_height * out_width;
    alignas(64) C tile[kTileRows * tilePositions<C>(kTileRows) + kWidth];  // whole vectors are read past a segment
    SegmentWalk walk(*this, layout, pass, first_row);
    for (int64_t q = 0; q < layout.end(); q += positions_) {
      Segment segments[4 * kWidth];
      const int segment_count = walk.next(segments, std::min(q + positions_, layout.end()));
      for (int64_t p = 0; p < count && segment_count > 0; ++p) {
        const C* const panel = weights + p * (taps + 1) * height_;
        T* const target = to + p * height_ * pixels;
        const int64_t height = std::min(rows_left - p * height_, height_);
        if constexpr (std::is_same_v<T, C>) {
          if (segments[0].count == positions_ && pass.width.step == 1 && height == height_) {
            tile_(target + segments[0].to, pixels, panel + height_, planes + q, offsets, taps, panel, relu);
            continue;
          }
        }
        tile_(tile, positions_, panel + height_, planes + q, offsets, taps, panel, relu);
        for (int i = 0; i < segment_count; ++i) store(target, tile, height, segments[i], pass.width.step);
      }
    }
  }

  // Goes through the positions of a block, and finds the runs of them that are outputs.
  class SegmentWalk {
   public:
    SegmentWalk(const Correlation& c, const PlaneLayout& layout, const Pass& pass, int64_t first_row)
        : height_(pass.height), width_(pass.width), row_begin_(std::max(pass.height.begin - first_row, int64_t{0})),
          row_end_(std::min(pass.height.end - first_row, layout.height.positions)), row_pitch_(layout.width.pitch),
          image_pitch_(layout.height.pitch), out_width_(c.out_width), image_step_(c.groups * c.rows * c.out_height * c.out_width),
          first_((first_row * pass.height.step + pass.height.origin) * c.out_width + pass.width.origin) {}

    // The runs up to position `stop`; `to` counts from the beginning of the first image's channel.
    int next(Segment* segments, int64_t stop) {
      const int64_t start = at_;
      int count = 0;
      while (at_ < stop) {
        const int64_t line_end = std::min(stop, line_ + row_pitch_);
        const int64_t begin = std::max(at_, line_ + width_.begin), end = std::min(line_end, line_ + width_.end);
        if (row_ >= row_begin_ && row_ < row_end_ && begin < end) {
          const int64_t to = first_ + image_ + row_ * height_.step * out_width_ + (begin - line_) * width_.step;
          // What lies behind a segment in the same channel of the same block is stored later.
          const int64_t room = height_.step == 1 ? first_ - width_.origin + image_ + row_end_ * out_width_ - to : end - begin;
          if (count > 0 && isNext(segments[count - 1], begin - start, to)) segments[count - 1].count += end - begin;
          else segments[count++] = {begin - start, end - begin, to, room};
        }
        at_ = line_end;
        if (at_ < line_ + row_pitch_) break;
        line_ = at_;
        if (++row_ == image_pitch_) {
          row_ = 0;
          image_ += image_step_;
        }
      }
      return count;
    }

   private:
    bool isNext(const Segment& before, int64_t from, int64_t to) const {
      return width_.step == 1 && before.from + before.count == from && before.to + before.count == to;
    }

    const PassAxis height_, width_;
    const int64_t row_begin_, row_end_, row_pitch_, image_pitch_, out_width_, image_step_, first_;
    int64_t at_ = 0, line_ = 0, row_ = 0, image_ = 0;
  };

  void store(T* to, const C* tile, int64_t height, const Segment& segment, int64_t step) const {
    constexpr int64_t kWidth = ConvVector<C>::kWidth;
    const int64_t vectors = ceilDivide(segment.count, kWidth), pixels = out_height * out_width;
    for (int64_t i = 0; i < height; ++i) {
      const C* from = tile + i * positions_ + segment.from;
      T* target = to + i * pixels + segment.to;
      if (step == 1 && vectors * kWidth <= segment.room) {
        for (int64_t v = 0; v < vectors; ++v) {
          for (int64_t j = 0; j < kWidth; ++j) target[v * kWidth + j] = static_cast<T>(from[v * kWidth + j]);
        }
      } else {
        for (int64_t j = 0; j < segment.count; ++j) target[j * step] = static_cast<T>(from[j]);
      }
    }
  }

  const int64_t height_, panels_, positions_;
  const CorrelateTile<C> tile_;
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVOLUTION_CORRELATION_H_
