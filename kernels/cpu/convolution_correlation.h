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
struct TileSegment {
  int64_t from, count, to, room;
};

// Neighbouring positions from `position` on that are packed into a tile from `place` on.
struct TileRun {
  int64_t position, place, count;
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
  using O::batch, O::groups, O::channels, O::rows, O::out_height, O::out_width, O::in_pixels;
  using O::whole, O::relu, O::out, O::in, O::mask, O::bias;
  static constexpr int kWidth = Vector<C>::kLanes;

 public:
  explicit Correlation(const O& operands)
      : O(operands), height_(evenPart(rows, kTileRows)), panels_(ceilDivide(rows, height_)),
        vectors_(mayBeWide(static_cast<int>(height_)) && (channels > 3 || out_width > 3 * kWidth) ? 4 : 2), positions_(vectors_ * kWidth),
        tile_(correlateTileOf<C>(static_cast<int>(height_), vectors_)) {}

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
    const PlaneBlocks blocks = PlaneBlocks::choose(whole, batch, channels, sizeof(C), kPlaneBytes, kPlanePositions);
    const int64_t units = blocks.count() * groups;
    const int64_t splits = std::min(panels_, std::max(threadCount() / std::max(units, int64_t{1}), int64_t{1}));
    const int64_t cost = rows * (all_taps + channels) * blocks.images * blocks.rows * whole.width.pitch / splits;
    std::atomic<bool> out_of_memory{false};
    parallelFor(units * splits, kConvGrain / (cost + 1) + 1, [&](int64_t begin, int64_t end) {
      thread_local PlaneScratch offset_scratch;
      int64_t* const offsets = offset_scratch.atLeast<int64_t>(all_taps + 1);
      if (offsets == nullptr) {
        out_of_memory = true;
        return;
      }
      int64_t plane = 0;  // that of the offsets
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t split = unit % splits, block = unit / splits / groups, group = unit / splits % groups;
        const PlaneLayout layout = blocks.layoutOf(block, whole, positions_);
        if (layout.plane != plane) writeOffsets(offsets, layout, passes, pass_count);
        plane = layout.plane;
        const Unit u{blocks.firstImage(block), blocks.firstRow(block), group, panels_ * split / splits, panels_ * (split + 1) / splits};
        if (!runUnit(u, layout, passes, pass_count, weights, offsets)) out_of_memory = true;
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

  void writeOffsets(int64_t* offsets, const PlaneLayout& layout, const Pass* passes, int64_t pass_count) const {
    for (int64_t i = 0; i < pass_count; ++i) {
      eachTap(passes[i], [&](int64_t channel, int64_t row_tap, int64_t col_tap) { *offsets++ = layout.offset(channel, row_tap, col_tap); });
    }
  }

  // Some panels of a group, for a block of images or rows.
  struct Unit {
    int64_t first_image, first_row, group, first_panel, last_panel;
  };

  bool runUnit(const Unit& unit, const PlaneLayout& layout, const Pass* passes, int64_t pass_count, const C* all_weights,
               const int64_t* offsets) const {
    thread_local PlaneScratch plane_scratch;
    C* const planes = plane_scratch.atLeast<C>(channels * layout.channel() + 4 * kWidth);  // whole tiles are read from a row's or run's end
    if (planes == nullptr) return false;
    const int64_t image_stride = groups * channels * in_pixels, pixels = out_height * out_width;
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = unit.first_image * image_stride + (unit.group * channels + c) * in_pixels;
      fillPlanes(planes + c * layout.channel(), layout, in + at, mask == nullptr ? nullptr : mask + at, image_stride);
    }
    T* const to = out + (unit.first_image * groups + unit.group) * rows * pixels;
    for (int64_t i = 0; i < pass_count; ++i) {
      const Pass& pass = passes[i];
      const int64_t taps = tapsOf(pass), panel = panelOf(pass);
      const C* const weights = all_weights + pass.weights + unit.group * panels_ * panel;
      const int64_t all = unit.last_panel - unit.first_panel;
      const int64_t few = std::max(kWeightBytes / static_cast<int64_t>(panel * sizeof(C)), int64_t{1});
      const int64_t together = paysToPack(layout, pass, all) ? all : few;
      for (int64_t p = unit.first_panel; p < unit.last_panel; p += together) {
        const int64_t count = std::min(unit.last_panel - p, together);
        runPanels(to + p * height_ * pixels, rows - p * height_, count, weights + p * panel, taps, planes, offsets, layout, pass,
                  unit.first_row);
      }
      offsets += taps;
    }
    return true;
  }

  // All positions of a block for `count` panels, the first of which begins a range of `rows_left` rows.
  void runPanels(T* to, int64_t rows_left, int64_t count, const C* weights, int64_t taps, const C* planes, const int64_t* offsets,
                 const PlaneLayout& layout, const Pass& pass, int64_t first_row) const {
    const int64_t pixels = out_height * out_width;
    if constexpr (std::is_same_v<T, C>) {
      if (paysByRows(pass, taps)) return runRows(to, rows_left, count, weights, taps, planes, offsets, layout, pass, first_row);
    }
    alignas(64) C tile[(2 * kTileRows + 1) * kWidth];  // whole vectors are read past a segment
    SegmentWalk walk(*this, layout, pass, first_row);
    thread_local PlaneScratch packed_scratch;
    Packed packed;
    const bool is_packed = paysToPack(layout, pass, count) && preparePacked(&packed, packed_scratch, taps);
    for (int64_t q = 0; is_packed ? !walk.isAtEnd() : q < layout.end(); q += positions_) {
      TileSegment segments[4 * kWidth];
      int segment_count;
      if (is_packed) {
        TileRun runs[4 * kWidth];
        int run_count;
        segment_count = walk.nextOutputs(segments, runs, &run_count, positions_);
        packTile(packed.tile, planes, offsets, taps, runs, run_count);
      } else {
        segment_count = walk.next(segments, std::min(q + positions_, layout.end()));
      }
      const C* const from = is_packed ? packed.tile : planes + q;
      const int64_t* const places = is_packed ? packed.offsets : offsets;
      for (int64_t p = 0; p < count && segment_count > 0; ++p) {
        const C* const panel = weights + p * (taps + 1) * height_;
        T* const target = to + p * height_ * pixels;
        const int64_t height = std::min(rows_left - p * height_, height_);
        if constexpr (std::is_same_v<T, C>) {
          if (segments[0].count == positions_ && pass.width.step == 1 && height == height_) {
            tile_(target + segments[0].to, pixels, panel + height_, from, places, taps, panel, relu);
            continue;
          }
        }
        tile_(tile, positions_, panel + height_, from, places, taps, panel, relu);
        for (int i = 0; i < segment_count; ++i) store(target, tile, height, segments[i], pass.width.step);
      }
    }
  }

  // With few taps, moving a tile's segments costs more than the positions behind a row: then each row has tiles of its own, which go
  // to the output at once.
  bool paysByRows(const Pass& pass, int64_t taps) const {
    const int64_t waste = ceilDivide(out_width, positions_) * positions_ - out_width;
    return pass.width.step == 1 && pass.height.step == 1 && taps * waste <= 4 * out_width;
  }

  void runRows(T* to, int64_t rows_left, int64_t count, const C* weights, int64_t taps, const C* planes, const int64_t* offsets,
               const PlaneLayout& layout, const Pass& pass, int64_t first_row) const {
    const int64_t pixels = out_height * out_width, begin = std::max(pass.height.begin - first_row, int64_t{0});
    const int64_t end = std::min(pass.height.end - first_row, layout.height.positions);
    alignas(64) C tile[(2 * kTileRows + 1) * kWidth];
    for (int64_t image = 0; image < layout.images; ++image) {
      T* const first = to + image * groups * rows * pixels;
      // What is written behind a row is overwritten by the next one; the last ones of the block must not be left.
      const int64_t stop = (end + first_row + pass.height.origin) * out_width;
      for (int64_t y = begin; y < end; ++y) {
        for (int64_t x = 0; x < out_width; x += positions_) {
          const C* const from = planes + (image * layout.height.pitch + y) * layout.width.pitch + x;
          const int64_t at = (y + first_row + pass.height.origin) * out_width + x;
          for (int64_t p = 0; p < count; ++p) {
            const C* const panel = weights + p * (taps + 1) * height_;
            T* const target = first + p * height_ * pixels;
            const int64_t height = std::min(rows_left - p * height_, height_);
            if (at + positions_ <= stop && height == height_) {
              tile_(target + at, pixels, panel + height_, from, offsets, taps, panel, relu);
              continue;
            }
            tile_(tile, positions_, panel + height_, from, offsets, taps, panel, relu);
            store(target, tile, height, {0, std::min(positions_, out_width - x), at, stop - at}, 1);
          }
        }
      }
    }
  }

  // What a tile reads when it is packed: (taps, positions).
  struct Packed {
    C* tile;
    int64_t* offsets;
  };

  // Whether packing a tile, some cycles for each run of a tap, costs less than computing the positions that are no outputs.
  bool paysToPack(const PlaneLayout& layout, const Pass& pass, int64_t count) const {
    const int64_t run = pass.width.end - pass.width.begin;
    if (pass.width.step != 1 || pass.height.step != 1 || run < 1) return false;
    const int64_t outputs = layout.images * layout.height.positions * run;
    const int64_t tiles = ceilDivide(layout.end(), positions_), packed_tiles = ceilDivide(outputs, positions_);
    const int64_t saved = (tiles - packed_tiles) * count * height_ * vectors_;
    return saved > packed_tiles * (4 + 3 * (positions_ / run + 1));
  }

  bool preparePacked(Packed* packed, PlaneScratch& scratch, int64_t taps) const {
    const int64_t tile_bytes = (taps * positions_ + 2 * kWidth) * static_cast<int64_t>(sizeof(C));
    char* const memory = scratch.atLeast<char>(tile_bytes + taps * static_cast<int64_t>(sizeof(int64_t)));
    if (memory == nullptr) return false;
    *packed = {reinterpret_cast<C*>(memory), reinterpret_cast<int64_t*>(memory + tile_bytes)};
    for (int64_t p = 0; p < taps; ++p) packed->offsets[p] = p * positions_;
    return true;
  }

  // Copies whole vectors: what is written behind a run is overwritten by the next one.
  void packTile(C* tile, const C* planes, const int64_t* offsets, int64_t taps, const TileRun* runs, int run_count) const {
    using V = typename Vector<C>::type;
    for (int64_t p = 0; p < taps; ++p, tile += positions_) {
      for (int i = 0; i < run_count; ++i) {
        const C* const from = planes + offsets[p] + runs[i].position;
        for (int64_t j = 0; j < runs[i].count; j += kWidth) {
          *reinterpret_cast<V*>(tile + runs[i].place + j) = *reinterpret_cast<const V*>(from + j);
        }
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
          first_((first_row * pass.height.step + pass.height.origin) * c.out_width + pass.width.origin),
          stop_(layout.end()) {}

    bool isAtEnd() const { return at_ >= stop_; }

    // The runs up to position `stop`; `to` counts from the beginning of the first image's channel.
    int next(TileSegment* segments, int64_t stop) {
      const int64_t start = at_;
      int count = 0;
      while (at_ < stop) {
        const int64_t begin = std::max(at_, line_ + width_.begin), end = std::min({stop, line_ + row_pitch_, line_ + width_.end});
        if (isRow() && begin < end) count = add(segments, count, begin - start, end - begin, begin);
        at_ = std::min(stop, line_ + row_pitch_);
        if (at_ == line_ + row_pitch_) nextLine();
      }
      return count;
    }

    // The same for the next `wanted` outputs, without what lies between them.
    int nextOutputs(TileSegment* segments, TileRun* runs, int* run_count, int64_t wanted) {
      int64_t filled = 0;
      int count = 0;
      *run_count = 0;
      while (filled < wanted && at_ < stop_) {
        const int64_t begin = std::max(at_, line_ + width_.begin), end = std::min(line_ + width_.end, begin + wanted - filled);
        if (!isRow() || begin >= end) {
          nextLine();
          continue;
        }
        count = add(segments, count, filled, end - begin, begin);
        runs[(*run_count)++] = {begin, filled, end - begin};
        filled += end - begin;
        at_ = end;
      }
      return count;
    }

   private:
    bool isRow() const { return row_ >= row_begin_ && row_ < row_end_; }

    void nextLine() {
      at_ = line_ += row_pitch_;
      if (++row_ < image_pitch_) return;
      row_ = 0;
      image_ += image_step_;
    }

    // Outputs from `position` on in the current line; they extend the segment before where they follow it.
    int add(TileSegment* segments, int count, int64_t from, int64_t size, int64_t position) const {
      const int64_t to = first_ + image_ + row_ * height_.step * out_width_ + (position - line_) * width_.step;
      if (count > 0) {
        TileSegment& before = segments[count - 1];
        if (width_.step == 1 && before.from + before.count == from && before.to + before.count == to) {
          before.count += size;
          return count;
        }
      }
      // What lies behind a segment in the same channel of the same block is stored later.
      const int64_t room = height_.step == 1 ? first_ - width_.origin + image_ + row_end_ * out_width_ - to : size;
      segments[count] = {from, size, to, room};
      return count + 1;
    }

    const PassAxis height_, width_;
    const int64_t row_begin_, row_end_, row_pitch_, image_pitch_, out_width_, image_step_, first_, stop_;
    int64_t at_ = 0, line_ = 0, row_ = 0, image_ = 0;
  };

  void store(T* to, const C* tile, int64_t height, const TileSegment& segment, int64_t step) const {
    const int64_t vectors = ceilDivide(segment.count, int64_t{kWidth}), pixels = out_height * out_width;
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

  const int64_t height_, panels_;
  const int vectors_;
  const int64_t positions_;
  const CorrelateTile<C> tile_;
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVOLUTION_CORRELATION_H_
