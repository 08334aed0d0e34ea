// How the CPU's convolution cuts a batch into the units of work of a thread.
#ifndef AX_CPU_CONVOLUTION_BLOCKS_H_
#define AX_CPU_CONVOLUTION_BLOCKS_H_
#include "cpu/convolution_planes.h"
#include "cpu/thread_pool.h"

namespace ax {
inline namespace AX_ISA {

// Multiplications below which another thread is not worth waking.
constexpr int64_t kConvGrain = 1 << 17;

inline int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The size of each of the fewest equal parts, none larger than `most`.
inline int64_t evenPart(int64_t count, int64_t most) { return ceilDivide(count, ceilDivide(count, most)); }

// How the positions of a batch are cut: blocks of `images` images, or of `rows` rows of one image.
struct PlaneBlocks {
  int64_t batch, positions, images, rows;

  // As many images as give `wanted` positions, or as many rows as fit into `bytes` together with those of all `channels`.
  static PlaneBlocks choose(const PlaneLayout& whole, int64_t batch, int64_t channels, int64_t element_bytes, int64_t bytes, int64_t wanted) {
    const int64_t row_bytes = channels * whole.slots() * whole.width.pitch * element_bytes, positions = whole.height.positions;
    const int64_t room = std::max(bytes / row_bytes, int64_t{1});
    PlaneBlocks b{batch, positions, 1, positions};
    if (whole.height.pitch <= room) {
      const int64_t enough = ceilDivide(wanted, whole.height.pitch * whole.width.pitch);
      b.images = std::clamp(std::min(enough, room / whole.height.pitch), int64_t{1}, std::max(batch / threadCount(), int64_t{1}));
    } else {
      b.rows = evenPart(positions, std::max(room - whole.height.reach, std::min(positions, 2 * whole.height.reach + 1)));
    }
    return b;
  }

  int64_t rowParts() const { return ceilDivide(positions, rows); }
  int64_t count() const { return ceilDivide(batch, images) * rowParts(); }
  int64_t firstImage(int64_t block) const { return block / rowParts() * images; }
  int64_t imagesOf(int64_t block) const { return std::min(images, batch - firstImage(block)); }
  int64_t firstRow(int64_t block) const { return block % rowParts() * rows; }
  int64_t rowsOf(int64_t block) const { return std::min(rows, positions - firstRow(block)); }

  PlaneLayout layoutOf(int64_t block, const PlaneLayout& whole, int64_t granule) const {
    PlaneLayout layout = whole;
    layout.images = imagesOf(block);
    if (rows < positions) layout.height = whole.height.part(firstRow(block), firstRow(block) + rowsOf(block));
    layout.choosePlane(granule);
    return layout;
  }
};

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_CPU_CONVOLUTION_BLOCKS_H_
