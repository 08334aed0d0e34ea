// How the CPU's convolution lays out what it reads. A correlation of a plane is a sum of shifted copies of that plane: in a plane whose
// rows follow each other with their padding, output position q = y * pitch + x needs, for every tap of the kernel, element q + offset(tap).
// So the planes are copied once with their padding, and no matrix of patches is ever made. A stride splits a plane into its phases, whose
// taps are shifts again. The positions between the end of an output row and the end of a pitch are computed and dropped.
#ifndef AX_CPU_CONVOLUTION_PLANES_H_
#define AX_CPU_CONVOLUTION_PLANES_H_
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <numeric>

#include "common/dtype.h"

namespace ax {
inline namespace AX_ISA {

// Memory of one thread that lives as long as the thread, unless it is large.
class PlaneScratch {
 public:
  ~PlaneScratch() { free(memory_); }
  template <class C>
  C* atLeast(int64_t count) {
    const size_t wanted = static_cast<size_t>(count) * sizeof(C);
    if (wanted > bytes_ || bytes_ > kKeptBytes) {
      free(memory_);
      bytes_ = (wanted + 63) / 64 * 64;
      memory_ = aligned_alloc(64, bytes_);
      if (memory_ == nullptr) bytes_ = 0;
    }
    return static_cast<C*>(memory_);
  }

 private:
  static constexpr size_t kKeptBytes = size_t{64} << 20;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

// One direction of the planes. Row i of phase p holds source row i * stride + p - lead, zeros where that lies outside.
struct PlaneAxis {
  int64_t source, stride, lead;
  int64_t positions;  // outputs in this direction
  int64_t reach;      // the largest shift of a tap
  int64_t dilation, tap_stride;  // tap r lies at r * dilation; its quotient by tap_stride is the shift, its remainder the phase
  bool flipped;                  // shifts count down from reach
  int64_t period, slots;         // only phases that a tap has are kept: tap r is in slot r % period, slot t has phase t * dilation % stride
  int64_t pitch;                 // rows (or columns) from one image (or row) to the next

  // Taps that read the source with a stride.
  static PlaneAxis strided(int64_t source, int64_t positions, int64_t size, int64_t stride, int64_t padding, int64_t dilation) {
    const int64_t period = stride / std::gcd(stride, dilation);
    return {source, stride, padding, positions, (size - 1) * dilation / stride, dilation, stride, false, period, std::min(size, period), 0};
  }

  // The transpose of the above: `source` are its outputs. Its padded inputs, grouped by `stride`, are the positions, from that of the
  // first real input on.
  static PlaneAxis transposed(int64_t source, int64_t inputs, int64_t size, int64_t stride, int64_t padding, int64_t dilation) {
    const int64_t first = padding / stride, end = (padding + inputs - 1) / stride + 1, reach = (size - 1) * dilation / stride;
    return {source, 1, reach - first, end - first, reach, dilation, stride, true, 1, 1, 0};
  }

  int64_t shift(int64_t tap) const { return flipped ? reach - tap * dilation / tap_stride : tap * dilation / tap_stride; }
  int64_t slot(int64_t tap) const { return tap % period; }

  // Part of the positions, alone.
  PlaneAxis part(int64_t begin, int64_t end) const {
    PlaneAxis a = *this;
    a.lead -= begin * stride;
    a.positions = end - begin;
    a.pitch = a.positions + reach;
    return a;
  }

  // With stride 1 the zeros after a row are those before the next one.
  void choosePitch() {
    pitch = positions + reach;
    if (stride == 1 && lead >= 0) {
      pitch = std::min(pitch, std::max(source + std::max(lead, positions + reach - lead - source), positions));
    }
  }
};

// Planes of some channels of some images: [channel][slot of rows][slot of columns][image][row][column], then zeros up to `plane`.
struct PlaneLayout {
  PlaneAxis height, width;
  int64_t images;
  int64_t plane;  // elements of one plane

  int64_t slots() const { return height.slots * width.slots; }
  int64_t channel() const { return slots() * plane; }
  // One past the last position that is an output.
  int64_t end() const { return ((images - 1) * height.pitch + height.positions - 1) * width.pitch + width.positions; }

  // `granule`: positions are computed in groups of that many. The number of lines of a plane is made odd, so that equal positions of
  // different channels do not fall into the same sets of the cache.
  void choosePlane(int64_t granule) {
    const int64_t positions = (end() + granule - 1) / granule * granule;
    const int64_t room = std::max(positions + height.reach * width.pitch + width.reach, images * height.pitch * width.pitch);
    plane = ((room + 15) / 16 | 1) * 16;
  }

  int64_t offset(int64_t channel_index, int64_t row_tap, int64_t col_tap) const {
    return channel_index * channel() + (height.slot(row_tap) * width.slots + width.slot(col_tap)) * plane +
           height.shift(row_tap) * width.pitch + width.shift(col_tap);
  }
};

// Rows are short: without this, the compiler calls memcpy and memset for each.
#define AX_SHORT_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns")))

// Zeroes elements where `mask`, the output of a ReLU, is not positive; a null mask keeps all.
template <class C, class T>
AX_SHORT_LOOPS void copyElements(C* __restrict to, const T* __restrict from, const T* __restrict mask, int64_t count, int64_t step) {
  if (step == 1) {
    if (mask == nullptr) {
      for (int64_t j = 0; j < count; ++j) to[j] = static_cast<C>(from[j]);
    } else {
      for (int64_t j = 0; j < count; ++j) to[j] = static_cast<C>(mask[j]) > C(0) ? static_cast<C>(from[j]) : C(0);
    }
  } else if (mask == nullptr && step == 2) {
    for (int64_t j = 0; j < count; ++j) to[j] = static_cast<C>(from[2 * j]);
  } else {
    for (int64_t j = 0; j < count; ++j) {
      to[j] = mask == nullptr || static_cast<C>(mask[j * step]) > C(0) ? static_cast<C>(from[j * step]) : C(0);
    }
  }
}

// Fills all planes of one channel. `from` and `mask` are the channel of the first image, `image_stride` elements from that of the next.
template <class C, class T>
AX_SHORT_LOOPS void fillPlanes(C* to, const PlaneLayout& layout, const T* from, const T* mask, int64_t image_stride) {
  const PlaneAxis &h = layout.height, &w = layout.width;
  for (int64_t a = 0; a < h.slots; ++a) {
    for (int64_t b = 0; b < w.slots; ++b) {
      C* row = to + (a * w.slots + b) * layout.plane;
      C* const end = row + layout.plane;
      const int64_t first_col = b * w.dilation % w.stride - w.lead;  // source column of column 0
      const int64_t lead = first_col < 0 ? std::min((-first_col + w.stride - 1) / w.stride, w.pitch) : 0;
      const int64_t stop = first_col < w.source ? std::min((w.source - 1 - first_col) / w.stride + 1, w.pitch) : 0;
      const int64_t count = std::max(stop - lead, int64_t{0}), at = first_col + lead * w.stride;
      for (int64_t image = 0; image < layout.images; ++image) {
        for (int64_t i = 0; i < h.pitch; ++i, row += w.pitch) {
          const int64_t y = i * h.stride + a * h.dilation % h.stride - h.lead;
          if (y < 0 || y >= h.source || count == 0) {
            for (int64_t j = 0; j < w.pitch; ++j) row[j] = C(0);
            continue;
          }
          const int64_t position = image * image_stride + y * w.source + at;
          for (int64_t j = 0; j < lead; ++j) row[j] = C(0);
          copyElements(row + lead, from + position, mask == nullptr ? nullptr : mask + position, count, w.stride);
          for (int64_t j = lead + count; j < w.pitch; ++j) row[j] = C(0);
        }
      }
      std::fill(row, end, C(0));
    }
  }
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVOLUTION_PLANES_H_
