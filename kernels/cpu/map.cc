// Elementwise work in tiles: see cpu/map.h.
#include "cpu/map.h"

#include "cpu/thread_pool.h"
#include "cpu/tile.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int64_t kGrain = 1 << 15;  // elements below which another thread is not worth waking
// Sides of a tile that is transposed: long where it is read, so that few pages are in use, a whole cache line where it is written.
constexpr int64_t kLongSide = 64, kShortSide = 16;
// Bytes from which an output is written past the caches: it would push out what it is computed from, and be gone when it is read. As
// much as the last cache of a large machine: what fits there is read again soon.
constexpr int64_t kStreamBytes = 32 << 20;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// An operand as a tile sees it.
struct View {
  char* data;
  int32_t stored, computed, bytes;
  int64_t row_stride, col_stride;
  bool is_streamed;  // written past the caches

  bool isDirect(int64_t rows, int64_t cols) const { return stored == computed && isRun(rows, cols); }
  bool isRun(int64_t rows, int64_t cols) const { return (col_stride == 1 || cols == 1) && (rows == 1 || row_stride == cols); }
  bool isOne(int64_t rows, int64_t cols) const {
    return stored == computed && (col_stride == 0 || cols == 1) && (row_stride == 0 || rows == 1);
  }
};

// The dimensions outside the two innermost ones.
struct Batches {
  const int32_t* layout;
  int ndim, operand_count;

  int64_t count() const {
    int64_t batches = 1;
    for (int dim = 0; dim < ndim - 2; ++dim) batches *= layout[dim];
    return batches;
  }
  // Where each operand's elements of a batch begin.
  void start(int64_t batch, int64_t* starts) const {
    for (int k = 0; k < operand_count; ++k) starts[k] = 0;
    for (int dim = ndim - 3; dim >= 0; --dim) {
      for (int k = 0; k < operand_count; ++k) starts[k] += batch % layout[dim] * layout[(k + 1) * ndim + dim];
      batch /= layout[dim];
    }
  }
};

// How the two innermost dimensions are cut.
struct Tiling {
  int64_t rows, cols, tile_rows, tile_cols, row_tiles, col_tiles;
};

struct Buffers {
  alignas(64) char computed[kMaxOperands][kTileElements * 8];
  alignas(64) char raw[kTileElements * 8];
  // What a buffer holds, so that a broadcast operand is read once.
  const char* source[kMaxOperands] = {};
  int64_t rows[kMaxOperands], cols[kMaxOperands];
};

// Reads a tile as contiguous elements of the computed dtype into `buffer`.
void load(const View& v, const char* from, int64_t rows, int64_t cols, char* buffer, char* raw) {
  const int64_t count = rows * cols;
  if (v.stored == v.computed) return gatherTile(buffer, from, v.bytes, rows, cols, v.row_stride, v.col_stride);
  const bool run = v.isRun(rows, cols);
  if (!run) gatherTile(raw, from, v.bytes, rows, cols, v.row_stride, v.col_stride);
  convertBlock(buffer, v.computed, run ? from : raw, v.stored, count);
}

void store(const View& v, char* to, int64_t rows, int64_t cols, const char* buffer, char* raw) {
  const bool run = v.isRun(rows, cols);
  const char* from = buffer;
  if (v.stored != v.computed) {
    convertBlock(run && !v.is_streamed ? to : raw, v.stored, buffer, v.computed, rows * cols);
    if (run && !v.is_streamed) return;
    from = raw;
  }
  if (!v.is_streamed) return scatterTile(to, from, v.bytes, rows, cols, v.row_stride, v.col_stride);
  if (run) return streamBlock(to, from, rows * cols * v.bytes);
  for (int64_t r = 0; r < rows; ++r) streamBlock(to + r * v.row_stride * v.bytes, from + r * cols * v.bytes, cols * v.bytes);
}

void runTile(const BlockMap& map, const View* views, const int64_t* offsets, int64_t rows, int64_t cols, Buffers& buffers) {
  void* at[kMaxOperands];
  BlockKernel kernel = map.kernel;
  char* const out = views[0].data + offsets[0];
  const bool direct = views[0].isDirect(rows, cols) && !views[0].is_streamed;
  for (int k = map.operand_count - 1; k > 0; --k) {
    const View& v = views[k];
    char* from = v.data + offsets[k];
    if (v.isDirect(rows, cols) && map.kernel != nullptr) {
      at[k] = from;
      continue;
    }
    if (kernel == map.kernel && map.one_of[k] != nullptr && v.isOne(rows, cols)) {
      kernel = map.one_of[k];
      at[k] = from;
      continue;
    }
    char* buffer = map.kernel == nullptr && direct ? out : buffers.computed[k];
    at[k] = buffer;
    if (buffer != out && buffers.source[k] == from && buffers.rows[k] == rows && buffers.cols[k] == cols) continue;
    load(v, from, rows, cols, buffer, buffers.raw);
    if (buffer == out) continue;
    buffers.source[k] = from;
    buffers.rows[k] = rows;
    buffers.cols[k] = cols;
  }
  if (map.kernel == nullptr) {
    if (!direct) store(views[0], out, rows, cols, static_cast<const char*>(at[1]), buffers.raw);
    return;
  }
  at[0] = direct ? out : buffers.computed[0];
  kernel(map.body, rows * cols, at);
  if (!direct) store(views[0], out, rows, cols, buffers.computed[0], buffers.raw);
}

// The kernel for tiles whose operands are all read and written where they are; null: some pass through a buffer.
BlockKernel directKernel(const BlockMap& map, const View* views, int64_t rows, int64_t cols) {
  if (views[0].is_streamed) return nullptr;
  BlockKernel kernel = map.kernel;
  for (int k = 0; k < map.operand_count; ++k) {
    if (views[k].isDirect(rows, cols)) continue;
    if (kernel != map.kernel || map.one_of[k] == nullptr || !views[k].isOne(rows, cols)) return nullptr;
    kernel = map.one_of[k];
  }
  return kernel;
}

Tiling chooseTiling(const BlockMap& map, const View* views, int64_t rows, int64_t cols) {
  bool transposed = false;
  for (int k = 0; k < map.operand_count; ++k) transposed |= views[k].row_stride == 1 && views[k].col_stride > 1 && rows > 1;
  Tiling t{rows, cols, 1, cols, 0, 0};
  if (transposed) {
    const int64_t wanted = views[0].col_stride == 1 ? kLongSide : kShortSide;
    t.tile_rows = least(rows, cols < kShortSide ? kTileElements / cols : wanted);
    t.tile_cols = least(cols, kTileElements / t.tile_rows);
  } else if (cols >= kTileElements / 4) {
    t.tile_cols = least(cols, directKernel(map, views, 1, cols) != nullptr ? 8 * kTileElements : kTileElements);
  } else {
    t.tile_rows = least(rows, kTileElements / cols);
  }
  t.row_tiles = (rows + t.tile_rows - 1) / t.tile_rows;
  t.col_tiles = (cols + t.tile_cols - 1) / t.tile_cols;
  return t;
}

// The whole range in one call where every operand is contiguous and of its computed dtype.
bool runContiguous(const BlockMap& map, int64_t count) {
  if (map.kernel == nullptr) return false;
  for (int k = 0; k < map.operand_count; ++k) {
    if (map.operands[k].dtype != map.computed[k]) return false;
  }
  parallelFor(count, kGrain, [&](int64_t begin, int64_t end) {
    void* at[kMaxOperands];
    for (int k = 0; k < map.operand_count; ++k) {
      at[k] = static_cast<char*>(map.operands[k].data) + begin * kDtypeBytes[map.operands[k].dtype];
    }
    map.kernel(map.body, end - begin, at);
  });
  return true;
}

// Rows whose operands are all read and written where they are: one call each, and nothing else.
bool runRows(const BlockMap& map, const View* views, const Batches& batches, int64_t rows, int64_t cols) {
  if (cols < kTileElements / 4 || cols > 8 * kTileElements) return false;
  const BlockKernel kernel = directKernel(map, views, 1, cols);
  if (kernel == nullptr) return false;
  parallelFor(batches.count() * rows, kGrain / cols + 1, [&](int64_t begin, int64_t end) {
    void* at[kMaxOperands];
    int64_t starts[kMaxOperands];
    for (int64_t first = begin, last; first < end; first = last) {
      const int64_t batch = first / rows;
      last = least(end, (batch + 1) * rows);
      batches.start(batch, starts);
      for (int64_t row = first - batch * rows; row < last - batch * rows; ++row) {
        for (int k = 0; k < map.operand_count; ++k) at[k] = views[k].data + (starts[k] + row * views[k].row_stride) * views[k].bytes;
        kernel(map.body, cols, at);
      }
    }
  });
  return true;
}

}  // namespace

int32_t mapBlocks(const BlockMap& map, double element_count, const int32_t* layout, int32_t ndim) {
  const int64_t contiguous_count = static_cast<int64_t>(element_count);
  int64_t count = ndim == 0 ? contiguous_count : 1;
  for (int dim = 0; dim < ndim; ++dim) count *= layout[dim];
  const bool is_large = count * kDtypeBytes[map.operands[0].dtype] >= kStreamBytes;
  if (ndim == 0 && !is_large && runContiguous(map, contiguous_count)) return AX_OK;
  const auto stride = [&](int k, int dim) { return int64_t{layout[(k + 1) * ndim + dim]}; };
  View views[kMaxOperands];
  for (int k = 0; k < map.operand_count; ++k) {
    const int32_t dtype = map.operands[k].dtype;
    views[k] = {static_cast<char*>(map.operands[k].data), dtype, map.computed[k], kDtypeBytes[dtype],
                ndim > 1 ? stride(k, ndim - 2) : 0,       ndim > 0 ? stride(k, ndim - 1) : 1, false};
  }
  views[0].is_streamed = is_large && views[0].col_stride == 1;
  const Batches batches{layout, ndim, map.operand_count};
  const int64_t rows = ndim > 1 ? layout[ndim - 2] : 1, cols = ndim > 0 ? layout[ndim - 1] : contiguous_count;
  if (count == 0) return AX_OK;
  if (runRows(map, views, batches, rows, cols)) return AX_OK;
  const Tiling t = chooseTiling(map, views, rows, cols);
  parallelFor(batches.count() * t.row_tiles * t.col_tiles, kGrain / (t.tile_rows * t.tile_cols) + 1, [&](int64_t begin, int64_t end) {
    Buffers buffers;
    int64_t col = begin % t.col_tiles * t.tile_cols, row = begin / t.col_tiles % t.row_tiles * t.tile_rows;
    int64_t batch = begin / t.col_tiles / t.row_tiles, starts[kMaxOperands], offsets[kMaxOperands];
    batches.start(batch, starts);
    for (int64_t tile = begin; tile < end; ++tile) {
      for (int k = 0; k < map.operand_count; ++k) {
        offsets[k] = (starts[k] + row * views[k].row_stride + col * views[k].col_stride) * views[k].bytes;
      }
      runTile(map, views, offsets, least(rows - row, t.tile_rows), least(cols - col, t.tile_cols), buffers);
      col += t.tile_cols;
      if (col < cols) continue;
      col = 0;
      row += t.tile_rows;
      if (row < rows) continue;
      row = 0;
      batches.start(++batch, starts);
    }
    if (views[0].is_streamed) endStream();
  });
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax
