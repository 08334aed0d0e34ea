// Adafactor (Shazeer and Stern, 2018), as torch.optim.Adafactor: the variance of a matrix is kept as one number for each row and
// each column. Sums over rows are combined from one partial sum for each row, so no copy of the matrix is made.
#include <math.h>

#include "common/backend.h"
#include "common/live.h"

namespace ax {
inline namespace AX_ISA {
namespace {

constexpr int64_t kColumns = 64;  // columns that are summed together

template <class T>
struct Factors {
  T* p;
  const T* g;
  T *row_var, *col_var;  // col_var is null for a vector: row_var holds its variance then
  double *totals, *row_means, *p_squares, *u_squares, *col_sums;
  int64_t outer, rows, cols;
  T scale, weight, keep, eps1;
  double relative_step, eps2, clip;

  AX_HD T gradient(int64_t i) const { return g[i] * scale; }
  AX_HD T mixed(T old, T value) const {
    const T before = old;
    // As PyTorch's lerp: exact at both ends.
    return weight < T(0.5) ? before + weight * (value - before) : value - (value - before) * (1 - weight);
  }

  // The change of element (row, col), before clipping.
  AX_HD T update(int64_t row, int64_t col) const {
    T variance;
    if (col_var == nullptr) {
      variance = row_var[col];
    } else {
      const int64_t matrix = row / rows;
      const T mean = static_cast<T>(row_means[matrix]);
      variance = row_var[row] * col_var[matrix * cols + col] / (mean > eps1 ? mean : eps1);
    }
    const T least = eps1 * eps1;
    return gradient(row * cols + col) / sqrt(variance > least ? variance : least);
  }
};

template <class T>
struct RowStatistics {
  Factors<T> f;
  AX_DEVICE void operator()(Team team, int64_t row) const {
    const int64_t base = row * f.cols;
    const T squares = team.template sum<T>(f.cols, [&](int64_t j) {
      const T value = f.p[base + j];
      return value * value;
    });
    T mean = T(0);
    if (f.col_var != nullptr) {
      mean = team.template sum<T>(f.cols, [&](int64_t j) {
        const T slope = f.gradient(base + j);
        return slope * slope;
      }) / static_cast<T>(f.cols);
    } else {
      team.each(f.cols, [&](int64_t j) {
        const T slope = f.gradient(j);
        f.row_var[j] = f.mixed(f.row_var[j], slope * slope);
      });
    }
    if (!team.isFirst()) return;
    f.p_squares[row] = squares;
    if (f.col_var != nullptr) f.row_var[row] = f.mixed(f.row_var[row], mean);
  }
};

// Whole rows of a block of columns at a time, so that the inner loop is over neighbours.
template <class T>
struct ColumnStatistics {
  Factors<T> f;
  AX_DEVICE void operator()(Team team, int64_t block) const {
    const int64_t blocks = (f.cols + kColumns - 1) / kColumns, matrix = block / blocks, first = block % blocks * kColumns;
    const int64_t width = f.cols - first < kColumns ? f.cols - first : kColumns;
    double* sums = f.col_sums + matrix * f.cols + first;
    T* variances = f.col_var + matrix * f.cols + first;
    team.each(width, [&](int64_t j) { sums[j] = 0; });
    for (int64_t row = matrix * f.rows; row < (matrix + 1) * f.rows; ++row) {
      const int64_t base = row * f.cols + first;
      team.each(width, [&](int64_t j) {
        const T slope = f.gradient(base + j);
        sums[j] += slope * slope;
      });
    }
    team.each(width, [&](int64_t j) {
      variances[j] = f.mixed(variances[j], static_cast<T>(sums[j] / static_cast<double>(f.rows)));
    });
  }
};

// Row 0: the sum of the parameter's squares. Row k: the mean of matrix k - 1's row variances.
template <class T>
struct Totals {
  Factors<T> f;
  AX_DEVICE void operator()(Team team, int64_t k) const {
    if (k == 0) {
      const double squares = team.template sum<double>(f.outer * f.rows, [&](int64_t row) { return f.p_squares[row]; });
      if (team.isFirst()) f.totals[0] = squares;
    } else if (f.col_var != nullptr) {
      const T* variances = f.row_var + (k - 1) * f.rows;
      const double sum = team.template sum<double>(f.rows, [&](int64_t row) { return static_cast<double>(variances[row]); });
      if (team.isFirst()) f.row_means[k - 1] = sum / static_cast<double>(f.rows);
    }
  }
};

template <class T>
struct UpdateSquares {
  Factors<T> f;
  AX_DEVICE void operator()(Team team, int64_t row) const {
    const T squares = team.template sum<T>(f.cols, [&](int64_t j) {
      const T change = f.update(row, j);
      return change * change;
    });
    if (team.isFirst()) f.u_squares[row] = squares;
  }
};

template <class T>
struct UpdateTotal {
  Factors<T> f;
  AX_DEVICE void operator()(Team team, int64_t) const {
    const double squares = team.template sum<double>(f.outer * f.rows, [&](int64_t row) { return f.u_squares[row]; });
    if (team.isFirst()) f.totals[1] = squares;
  }
};

template <class T>
struct Apply {
  Factors<T> f;
  AX_DEVICE void operator()(Team team, int64_t row) const {
    const double count = static_cast<double>(f.outer * f.rows * f.cols);
    const double size = sqrt(f.totals[0] / count), change = sqrt(f.totals[1] / count) / f.clip;
    const T step = static_cast<T>((f.eps2 > size ? f.eps2 : size) * f.relative_step / (change > 1 ? change : 1));
    team.each(f.cols, [&](int64_t j) {
      const int64_t i = row * f.cols + j;
      f.p[i] = f.p[i] * f.keep - step * f.update(row, j);
    });
  }
};

template <class T>
int32_t adafactor(int32_t dtype, uint32_t parameter, double po, uint32_t row_var, uint32_t col_var, uint32_t scratch, uint32_t gradient,
                  double go, double outer, double rows, double cols, const double* hyper) {
  Factors<T> f{};
  f.outer = static_cast<int64_t>(outer);
  f.rows = static_cast<int64_t>(rows);
  f.cols = static_cast<int64_t>(cols);
  f.keep = static_cast<T>(1 - hyper[0] * hyper[1]);
  f.scale = static_cast<T>(hyper[2]);
  f.weight = static_cast<T>(hyper[3]);
  f.relative_step = hyper[4];
  f.eps1 = static_cast<T>(hyper[5]);
  f.eps2 = hyper[6];
  f.clip = hyper[7];
  const double lines = outer * rows;
  AX_TRY(at(parameter, po, lines * cols, dtype, &f.p));
  AX_TRY(at(gradient, go, lines * cols, dtype, &f.g));
  AX_TRY(at(row_var, 0, col_var == 0 ? cols : lines, dtype, &f.row_var));
  if (col_var != 0) AX_TRY(at(col_var, 0, outer * cols, dtype, &f.col_var));
  if (col_var == 0 && lines != 1) return fail(AX_ERROR_ARGUMENT, "a vector is one matrix of one row");
  AX_TRY(at(scratch, 0, 2 + outer + 2 * lines + outer * cols, AX_FLOAT64, &f.totals));
  f.row_means = f.totals + 2;
  f.p_squares = f.row_means + f.outer;
  f.u_squares = f.p_squares + f.outer * f.rows;
  f.col_sums = f.u_squares + f.outer * f.rows;
  const int64_t count = f.outer * f.rows;
  if (count * f.cols == 0) return AX_OK;
  AX_TRY(forEachRow(count, f.cols, RowStatistics<T>{f}));
  if (col_var != 0) AX_TRY(forEachRow(f.outer * ((f.cols + kColumns - 1) / kColumns), f.rows * kColumns, ColumnStatistics<T>{f}));
  AX_TRY(forEachRow(f.outer + 1, f.rows, Totals<T>{f}));
  AX_TRY(forEachRow(count, f.cols, UpdateSquares<T>{f}));
  AX_TRY(forEachRow(1, count, UpdateTotal<T>{f}));
  return forEachRow(count, f.cols, Apply<T>{f});
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

int32_t ax_adafactor_step(int32_t dtype, uint32_t parameter, double parameter_offset, uint32_t row_var, uint32_t col_var, uint32_t scratch,
                          uint32_t gradient, double gradient_offset, double outer, double rows, double cols, const void* hyper) {
  return withNumbers(static_cast<const double*>(hyper), 8, [=](const double* numbers) {
    switch (dtype) {
      case AX_FLOAT32: return adafactor<float>(dtype, parameter, parameter_offset, row_var, col_var, scratch, gradient, gradient_offset, outer, rows, cols, numbers);
      case AX_FLOAT64: return adafactor<double>(dtype, parameter, parameter_offset, row_var, col_var, scratch, gradient, gradient_offset, outer, rows, cols, numbers);
    }
    return fail(AX_ERROR_UNSUPPORTED, "adafactor_step is not available for dtype %d", dtype);
  });
}
