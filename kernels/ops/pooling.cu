// Maximum and average pooling over planes. The gradients scatter plane by plane on the CPU; on a GPU, and in 16 bits, where a sum must
// not be rounded on the way, every input gathers from the windows that it lies in.
#include <math.h>

#include <type_traits>

#include "common/backend.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

struct PoolAxis {
  int64_t in, out, kernel, stride, padding, dilation;
  bool adaptive;  // windows of equal shares of the input

  // Of window o: the first element inside the input, one past the last, and the size with padding.
  AX_HD int64_t origin(int64_t o) const { return adaptive ? o * in / out : o * stride - padding; }
  AX_HD int64_t limit(int64_t o) const {
    if (adaptive) return ((o + 1) * in + out - 1) / out;
    const int64_t end = origin(o) + kernel;
    return end < in + padding ? end : in + padding;
  }
  AX_HD int64_t begin(int64_t o) const { return origin(o) > 0 ? origin(o) : 0; }
  AX_HD int64_t end(int64_t o) const { return limit(o) < in ? limit(o) : in; }

  // The windows, without dilation, that may hold element i.
  AX_HD int64_t firstWindow(int64_t i) const {
    if (adaptive) return i * out / in;
    const int64_t behind = i + padding - dilation * (kernel - 1);
    return behind <= 0 ? 0 : (behind + stride - 1) / stride;
  }
  AX_HD int64_t lastWindow(int64_t i) const {
    const int64_t last = adaptive ? ((i + 1) * out - 1) / in : (i + padding) / stride;
    return last < out ? last : out - 1;
  }
};

struct PoolShape {
  int64_t planes;
  PoolAxis height, width;
  bool include_padding;
  int32_t divisor;  // 0: the size of the window

  AX_HD int64_t inPixels() const { return height.in * width.in; }
  AX_HD int64_t outPixels() const { return height.out * width.out; }

  // What a window's sum is divided by: the product of its rows and of its columns.
  AX_HD int64_t rowsOf(int64_t y) const {
    if (divisor != 0) return divisor;
    return include_padding ? height.limit(y) - height.origin(y) : height.end(y) - height.begin(y);
  }
  AX_HD int64_t colsOf(int64_t x) const {
    if (divisor != 0) return 1;
    return include_padding ? width.limit(x) - width.origin(x) : width.end(x) - width.begin(x);
  }
};

int32_t readShape(const void* geometry, PoolShape* shape) {
  const int32_t* g = static_cast<const int32_t*>(geometry);
  const bool adaptive = (g[13] & AX_POOL_ADAPTIVE) != 0;
  for (int i = 0; i < 13; ++i) {
    const bool may_be_zero = i == 0 || i == 9 || i == 10;
    if (g[i] < (may_be_zero ? 0 : 1)) return fail(AX_ERROR_ARGUMENT, "entry %d of a pool's geometry is %d", i, g[i]);
  }
  *shape = {g[0], {g[1], g[3], g[5], g[7], g[9], g[11], adaptive}, {g[2], g[4], g[6], g[8], g[10], g[12], adaptive},
            (g[13] & AX_POOL_INCLUDE_PADDING) != 0, g[14]};
  return AX_OK;
}

// f(i) for i in [begin, end). The same member of a team gets the same i whatever the range, so that later calls see what it stored.
template <class Team, class F>
AX_DEVICE void eachOf(const Team& team, int64_t begin, int64_t end, const F& f) {
#ifdef AX_CUDA
  team.each(end, [=](int64_t i) {
    if (i >= begin) f(i);
  });
#else
  team.each(end - begin, [=](int64_t i) { f(begin + i); });
#endif
}

#ifndef AX_CUDA
// kCount windows of 2 columns at distance 2 and `rows` rows at distance `row_step`, all inside the input, the usual window of images.
// Constant counts keep short rows in vectors.
template <class T, int kCount>
void maxOfPairs(T* to, int32_t* best, const T* line, int32_t position, int64_t rows, int64_t row_step) {
  typedef std::conditional_t<sizeof(T) == 8, int64_t, int32_t> Lane;
  typedef T Values __attribute__((vector_size(kCount * sizeof(T)), aligned(sizeof(T))));
  typedef Lane Lanes __attribute__((vector_size(kCount * sizeof(T))));
  typedef int32_t Positions __attribute__((vector_size(kCount * 4), aligned(4)));
  Lanes even, indices;
  for (int i = 0; i < kCount; ++i) even[i] = 2 * i;
  Values values = Values{} + line[0];
  for (int64_t r = 0; r < rows; ++r, line += row_step, position += static_cast<int32_t>(row_step)) {
    const Values first = *reinterpret_cast<const Values*>(line), second = *reinterpret_cast<const Values*>(line + kCount);
    const Values left = __builtin_shuffle(first, second, even), right = __builtin_shuffle(first, second, even + 1);
    const Lanes left_wins = r == 0 ? ~Lanes{} : (left > values) | (left != left);
    values = left_wins ? left : values;
    indices = left_wins ? even + position : indices;
    const Lanes right_wins = (right > values) | (right != right);
    values = right_wins ? right : values;
    indices = right_wins ? even + (position + 1) : indices;
  }
  *reinterpret_cast<Values*>(to) = values;
  *reinterpret_cast<Positions*>(best) = __builtin_convertvector(indices, Positions);
}

// A whole row of them; the last group overlaps the one before. False where the row is shorter than a group.
template <class T, int kCount>
bool maxOfPairsRow(T* to, int32_t* best, const T* line, int32_t position, int64_t rows, int64_t row_step, int64_t count) {
  if (count < kCount) return false;
  for (int64_t i = 0; i < count; i += kCount) {
    const int64_t start = i + kCount <= count ? i : count - kCount;
    maxOfPairs<T, kCount>(to + start, best + start, line + 2 * start, position + static_cast<int32_t>(2 * start), rows, row_step);
  }
  return true;
}
#endif

// One row of outputs: every tap of the window goes along the whole row. The first value counts whatever it is, so that an index always
// lies in its window; NaN wins, the last one, as in PyTorch.
template <class T, int kStride>
struct MaxForward {
  PoolShape s;
  T* out;
  int32_t* indices;
  const T* x;

  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    using C = Compute<T>;
    const PoolAxis &h = s.height, &w = s.width;
    const int64_t stride = kStride == 0 ? w.stride : kStride, top = row % h.out * h.stride - h.padding;
    const T* from = x + row / h.out * s.inPixels();
    T* to = out + row * w.out;
    int32_t* best = indices + row * w.out;
#ifndef AX_CUDA
    if constexpr (kStride == 2 && std::is_same_v<T, C>) {
      const int32_t position = static_cast<int32_t>(top * w.in);
      const bool is_inside = w.kernel == 2 && w.dilation == 1 && w.padding == 0 && 2 * w.out <= w.in && top >= 0 &&
                             top + (h.kernel - 1) * h.dilation < h.in;
      if (is_inside && maxOfPairsRow<T, 8>(to, best, from + position, position, h.kernel, h.dilation * w.in, w.out)) return;
      if (is_inside && maxOfPairsRow<T, 4>(to, best, from + position, position, h.kernel, h.dilation * w.in, w.out)) return;
    }
#endif
    bool is_first = true;
    if (h.padding + w.padding > 0) {
      // With dilation a window may hold no element at all.
      team.each(w.out, [=](int64_t i) {
        to[i] = static_cast<T>(-C(INFINITY));
        best[i] = -1;
      });
      is_first = false;
    }
    for (int64_t r = 0; r < h.kernel; ++r) {
      const int64_t y = top + r * h.dilation;
      if (y < 0 || y >= h.in) continue;
      for (int64_t c = 0; c < w.kernel; ++c) {
        const int64_t shift = c * w.dilation - w.padding, width = w.in;
        const int64_t begin = shift < 0 ? (-shift + stride - 1) / stride : 0;
        const int64_t fitting = shift < width ? (width - 1 - shift) / stride + 1 : 0, end = fitting < w.out ? fitting : w.out;
        const T* line = from + y * width + shift;
        const int32_t position = static_cast<int32_t>(y * width + shift);
        if (is_first) {
          eachOf(team, begin, end, [=](int64_t i) {
            to[i] = line[i * stride];
            best[i] = position + static_cast<int32_t>(i * stride);
          });
        } else {
          eachOf(team, begin, end, [=](int64_t i) {
            const C value = static_cast<C>(line[i * stride]), old = static_cast<C>(to[i]);
            const bool wins = (best[i] < 0) | (value > old) | (value != value);
            to[i] = wins ? line[i * stride] : to[i];
            best[i] = wins ? position + static_cast<int32_t>(i * stride) : best[i];
          });
        }
        is_first = false;
      }
    }
  }
};

template <class T>
int32_t maxForward(int32_t dtype, uint32_t out, double oo, uint32_t indices, double io, uint32_t x, double xo, const PoolShape& s) {
  MaxForward<T, 0> body{s, nullptr, nullptr, nullptr};
  const double results = static_cast<double>(s.planes * s.outPixels());
  AX_TRY(at(out, oo, results, dtype, &body.out));
  AX_TRY(at(indices, io, results, AX_INT32, &body.indices));
  AX_TRY(at(x, xo, static_cast<double>(s.planes * s.inPixels()), dtype, &body.x));
  const int64_t rows = s.planes * s.height.out, cost = s.width.out * s.height.kernel * s.width.kernel;
  if (s.width.stride == 1) return forEachRow(rows, cost, MaxForward<T, 1>{s, body.out, body.indices, body.x});
  if (s.width.stride == 2) return forEachRow(rows, cost, MaxForward<T, 2>{s, body.out, body.indices, body.x});
  return forEachRow(rows, cost, body);
}

// What a window gives to element i, which lies inside it.
template <class T>
struct MaxShare {
  PoolShape s;
  const T* gradient;
  const int32_t* indices;
  AX_HD Compute<T> operator()(int64_t window, int64_t element, int64_t, int64_t) const {
    using C = Compute<T>;
    return indices[window] == element ? static_cast<C>(gradient[window]) : C(0);
  }
  AX_HD void scatter(T* to, int64_t plane) const {
    const int64_t first = plane * s.outPixels();
    for (int64_t i = 0; i < s.outPixels(); ++i) {
      if (indices[first + i] >= 0) to[indices[first + i]] += gradient[first + i];
    }
  }
};

template <class T>
struct AverageShare {
  PoolShape s;
  const T* gradient;
  AX_HD Compute<T> operator()(int64_t window, int64_t element, int64_t y, int64_t x) const {
    using C = Compute<T>;
    const int64_t row = element / s.width.in, col = element % s.width.in;
    const bool inside = row >= s.height.begin(y) && row < s.height.end(y) && col >= s.width.begin(x) && col < s.width.end(x);
    return inside ? static_cast<C>(gradient[window]) / static_cast<C>(s.rowsOf(y) * s.colsOf(x)) : C(0);
  }
  AX_HD void scatter(T* to, int64_t plane) const {
    const PoolShape shape = s;
    const T* from = gradient + plane * s.outPixels();
    for (int64_t y = 0; y < s.height.out; ++y, from += s.width.out) {
      const int64_t rows = s.rowsOf(y);
      for (int64_t row = s.height.begin(y); row < s.height.end(y); ++row) {
        T* line = to + row * s.width.in;
        for (int64_t x = 0; x < shape.width.out; ++x) {
          const T share = from[x] / static_cast<T>(rows * shape.colsOf(x));
          for (int64_t col = shape.width.begin(x); col < shape.width.end(x); ++col) line[col] += share;
        }
      }
    }
  }
};

template <class T, class Share>
struct Gather {
  PoolShape s;
  T* out;
  Share share;
  AX_HD void operator()(At<1> at) const {
    const int64_t plane = at.v[0] / s.inPixels(), element = at.v[0] % s.inPixels(), row = element / s.width.in, col = element % s.width.in;
    Compute<T> sum = 0;
    for (int64_t y = s.height.firstWindow(row); y <= s.height.lastWindow(row); ++y) {
      for (int64_t x = s.width.firstWindow(col); x <= s.width.lastWindow(col); ++x) {
        sum += share((plane * s.height.out + y) * s.width.out + x, element, y, x);
      }
    }
    out[at.v[0]] = static_cast<T>(sum);
  }
};

#ifndef AX_CUDA
template <class T, class Share>
struct Scatter {
  PoolShape s;
  T* out;
  Share share;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t plane) const {
    T* to = out + plane * s.inPixels();
    team.each(s.inPixels(), [=](int64_t i) { to[i] = T(0); });
    share.scatter(to, plane);
  }
};
#endif

template <class T, class Share>
int32_t spread(T* out, const PoolShape& s, const Share& share) {
#ifndef AX_CUDA
  if constexpr (sizeof(T) > 2) return forEachRow(s.planes, s.inPixels() + s.outPixels(), Scatter<T, Share>{s, out, share});
#endif
  return forEach<1>(static_cast<double>(s.planes * s.inPixels()), Layout<1>{nullptr, 0}, Gather<T, Share>{s, out, share});
}

template <class T>
int32_t maxBackward(int32_t dtype, uint32_t out, double oo, uint32_t gradient, double go, uint32_t indices, double io, const PoolShape& s) {
  const double results = static_cast<double>(s.planes * s.outPixels());
  MaxShare<T> share{s, nullptr, nullptr};
  T* to;
  AX_TRY(at(out, oo, static_cast<double>(s.planes * s.inPixels()), dtype, &to));
  AX_TRY(at(gradient, go, results, dtype, &share.gradient));
  AX_TRY(at(indices, io, results, AX_INT32, &share.indices));
  return spread(to, s, share);
}

template <class T>
struct AverageForward {
  PoolShape s;
  T* out;
  const T* x;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    using C = Compute<T>;
    const PoolShape shape = s;
    const int64_t y = row % s.height.out, begin = s.height.begin(y), end = s.height.end(y), width = s.width.in, rows = s.rowsOf(y);
    const T* from = x + row / s.height.out * s.inPixels();
    T* to = out + row * s.width.out;
    team.each(s.width.out, [=](int64_t i) {
      const int64_t first = shape.width.begin(i), last = shape.width.end(i);
      C sum = C(0);
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t c = first; c < last; ++c) sum += static_cast<C>(from[r * width + c]);
      }
      to[i] = static_cast<T>(sum / static_cast<C>(rows * shape.colsOf(i)));
    });
  }
};

template <class T>
int32_t averageForward(int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, const PoolShape& s) {
  AverageForward<T> body{s, nullptr, nullptr};
  AX_TRY(at(out, oo, static_cast<double>(s.planes * s.outPixels()), dtype, &body.out));
  AX_TRY(at(x, xo, static_cast<double>(s.planes * s.inPixels()), dtype, &body.x));
  return forEachRow(s.planes * s.height.out, s.height.kernel * s.width.in, body);
}

template <class T>
int32_t averageBackward(int32_t dtype, uint32_t out, double oo, uint32_t gradient, double go, const PoolShape& s) {
  AverageShare<T> share{s, nullptr};
  T* to;
  AX_TRY(at(out, oo, static_cast<double>(s.planes * s.inPixels()), dtype, &to));
  AX_TRY(at(gradient, go, static_cast<double>(s.planes * s.outPixels()), dtype, &share.gradient));
  return spread(to, s, share);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

// Reads the geometry and calls the instance for the dtype; returns from the function.
#define AX_POOL(run, ...)          \
  PoolShape s;                     \
  AX_TRY(readShape(geometry, &s)); \
  AX_BY_FLOATING("pooling", dtype, run, __VA_ARGS__)

int32_t ax_max_pool_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t indices, double indices_offset, uint32_t x,
                            double x_offset, const void* geometry) {
  AX_POOL(maxForward, dtype, out, out_offset, indices, indices_offset, x, x_offset, s);
}

int32_t ax_max_pool_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                             uint32_t indices, double indices_offset, const void* geometry) {
  AX_POOL(maxBackward, dtype, out, out_offset, gradient, gradient_offset, indices, indices_offset, s);
}

int32_t ax_average_pool_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, const void* geometry) {
  AX_POOL(averageForward, dtype, out, out_offset, x, x_offset, s);
}

int32_t ax_average_pool_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                                 const void* geometry) {
  AX_POOL(averageBackward, dtype, out, out_offset, gradient, gradient_offset, s);
}
