// Layer normalisation and root-mean-square normalisation of rows.
#include <math.h>

#include "common/backend.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// out = (x - mean) * rstd * weight + bias. Weight and bias may be null. The variance is taken from centred values: E[x^2] - E[x]^2
// would lose all digits where the mean is large.
template <class C, class Team, class In, class Out>
AX_ROW void normalizeRow(const Team& team, In x, Out y, In weight, In bias, int64_t count, double eps, bool centred, C* rstd_out,
                         C* mean_out) {
  const C mean = centred ? team.template sum<C>(count, [=](int64_t i) { return x[i]; }) / static_cast<C>(count) : C(0);
  const C squares = team.template sum<C>(count, [=](int64_t i) {
    const C distance = x[i] - mean;
    return distance * distance;
  });
  const C rstd = C(1) / sqrt(squares / static_cast<C>(count) + static_cast<C>(eps));
  const bool scales = weight != nullptr, shifts = bias != nullptr;
  if (scales && shifts) {
    team.each(count, [=](int64_t i) { y[i] = (x[i] - mean) * rstd * weight[i] + bias[i]; });
  } else if (scales) {
    team.each(count, [=](int64_t i) { y[i] = (x[i] - mean) * rstd * weight[i]; });
  } else if (shifts) {
    team.each(count, [=](int64_t i) { y[i] = (x[i] - mean) * rstd + bias[i]; });
  } else {
    team.each(count, [=](int64_t i) { y[i] = (x[i] - mean) * rstd; });
  }
  if (team.isFirst()) {
    *rstd_out = rstd;
    if (centred) *mean_out = mean;
  }
}

// With n = (x - mean) rstd and h = g weight: dx = rstd (h - average(h) - n average(h n)), where average(h) is 0 without a mean.
template <class C, class Team, class In, class Out>
AX_ROW void inputGradientRow(const Team& team, In g, In x, In weight, Out dx, int64_t count, C mean, C rstd, bool centred) {
  const bool scales = weight != nullptr;
  C level = C(0), slope;
  if (scales) {
    if (centred) level = team.template sum<C>(count, [=](int64_t i) { return g[i] * weight[i]; });
    slope = team.template sum<C>(count, [=](int64_t i) { return g[i] * weight[i] * (x[i] - mean); });
  } else {
    if (centred) level = team.template sum<C>(count, [=](int64_t i) { return g[i]; });
    slope = team.template sum<C>(count, [=](int64_t i) { return g[i] * (x[i] - mean); });
  }
  level = level / static_cast<C>(count);
  slope = slope / static_cast<C>(count) * rstd * rstd;
  if (scales) {
    team.each(count, [=](int64_t i) { dx[i] = rstd * (g[i] * weight[i] - level - (x[i] - mean) * slope); });
  } else {
    team.each(count, [=](int64_t i) { dx[i] = rstd * (g[i] - level - (x[i] - mean) * slope); });
  }
}

template <class C, class Team, class In>
AX_ROW void addParameterGradients(const Team& team, In g, In x, C* weight_sums, C* bias_sums, int64_t count, C mean, C rstd) {
  if (bias_sums != nullptr) {
    team.each(count, [=](int64_t i) {
      weight_sums[i] += g[i] * ((x[i] - mean) * rstd);
      bias_sums[i] += g[i];
    });
  } else {
    team.each(count, [=](int64_t i) { weight_sums[i] += g[i] * ((x[i] - mean) * rstd); });
  }
}

template <class T>
struct Forward {
  using C = Compute<T>;
  T* out;
  const T *x, *weight, *bias;
  C* stats;
  int64_t rows, cols;
  double eps;
  bool centred;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t row) const {
    const auto from = team.input(x + row * cols, cols, 0);
    const auto to = team.output(out + row * cols, 1);
    const auto w = team.input(weight, cols, 2), b = team.input(bias, cols, 3);  // null stays null
    normalizeRow<C>(team, from, to, w, b, cols, eps, centred, stats + row, stats + rows + row);
    team.store(out + row * cols, to, cols);
  }
};

template <class T>
struct Backward {
  using C = Compute<T>;
  T* out;
  const T *gradient, *x, *weight;
  const C* stats;
  C *weight_sums, *bias_sums;  // (splits, cols), or null
  int64_t rows, cols, splits;
  bool centred;
  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t split) const {
    const int64_t begin = rows * split / splits, end = rows * (split + 1) / splits, count = cols;
    C* const dw = weight_sums == nullptr ? nullptr : weight_sums + split * cols;
    C* const db = bias_sums == nullptr ? nullptr : bias_sums + split * cols;
    if (dw != nullptr) team.each(count, [=](int64_t i) { dw[i] = C(0); });
    if (db != nullptr) team.each(count, [=](int64_t i) { db[i] = C(0); });
    const auto w = team.input(weight, cols, 3);
    for (int64_t row = begin; row < end; ++row) {
      const auto g = team.input(gradient + row * cols, cols, 0), from = team.input(x + row * cols, cols, 1);
      const C rstd = stats[row], mean = centred ? stats[rows + row] : C(0);
      if (dw != nullptr) addParameterGradients<C>(team, g, from, dw, db, count, mean, rstd);
      if (out == nullptr) continue;
      const auto to = team.output(out + row * cols, 2);
      inputGradientRow<C>(team, g, from, w, to, count, mean, rstd, centred);
      team.store(out + row * cols, to, cols);
    }
  }
};

int32_t checkKind(int32_t kind) {
  return kind == AX_LAYER_NORM || kind == AX_RMS_NORM ? AX_OK : fail(AX_ERROR_ARGUMENT, "unknown kind of normalisation %d", kind);
}

template <class T>
int32_t forward(int32_t kind, int32_t dtype, uint32_t out, double oo, uint32_t stats, uint32_t x, double xo, uint32_t weight, double wo,
                uint32_t bias, double bo, double rows, double cols, double eps) {
  const bool centred = kind == AX_LAYER_NORM;
  Forward<T> body{nullptr, nullptr, nullptr, nullptr, nullptr, static_cast<int64_t>(rows), static_cast<int64_t>(cols), eps, centred};
  AX_TRY(checkKind(kind));
  AX_TRY(at(out, oo, rows * cols, dtype, &body.out));
  AX_TRY(at(stats, 0, centred ? 2 * rows : rows, computeDtype(dtype), &body.stats));
  AX_TRY(at(x, xo, rows * cols, dtype, &body.x));
  AX_TRY(atIfGiven(weight, wo, cols, dtype, &body.weight));
  AX_TRY(atIfGiven(bias, bo, cols, dtype, &body.bias));
  return forEachRow<T>(body.rows, body.cols, body.cols, 4, body);
}

template <class T>
int32_t backward(int32_t kind, int32_t dtype, uint32_t out, double oo, uint32_t sums, uint32_t gradient, double go, uint32_t x, double xo,
                 uint32_t weight, double wo, uint32_t stats, double rows, double cols, double splits) {
  const bool centred = kind == AX_LAYER_NORM;
  Backward<T> body{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, static_cast<int64_t>(rows), static_cast<int64_t>(cols),
                   static_cast<int64_t>(splits), centred};
  AX_TRY(checkKind(kind));
  if (body.splits < 1) return fail(AX_ERROR_ARGUMENT, "splits must be at least 1, got %g", splits);
  const int32_t compute = computeDtype(dtype);
  AX_TRY(atIfGiven(out, oo, rows * cols, dtype, &body.out));
  if (sums != 0) {
    AX_TRY(at(sums, 0, (centred ? 2 : 1) * splits * cols, compute, &body.weight_sums));
    if (centred) body.bias_sums = body.weight_sums + body.splits * body.cols;
  }
  AX_TRY(at(gradient, go, rows * cols, dtype, &body.gradient));
  AX_TRY(at(x, xo, rows * cols, dtype, &body.x));
  AX_TRY(atIfGiven(weight, wo, cols, dtype, &body.weight));
  AX_TRY(at(stats, 0, centred ? 2 * rows : rows, compute, &body.stats));
  return forEachRow<T>(body.splits, body.rows * body.cols / body.splits, body.cols, 4, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_norm_forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t stats, uint32_t x, double x_offset,
                        uint32_t weight, double weight_offset, uint32_t bias, double bias_offset, double rows, double cols, double eps) {
  AX_BY_FLOATING("normalisation", dtype, forward, kind, dtype, out, out_offset, stats, x, x_offset, weight, weight_offset, bias,
                 bias_offset, rows, cols, eps);
}

int32_t ax_norm_backward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t sums, uint32_t gradient,
                         double gradient_offset, uint32_t x, double x_offset, uint32_t weight, double weight_offset, uint32_t stats,
                         double rows, double cols, double splits) {
  AX_BY_FLOATING("normalisation", dtype, backward, kind, dtype, out, out_offset, sums, gradient, gradient_offset, x, x_offset, weight,
                 weight_offset, stats, rows, cols, splits);
}
