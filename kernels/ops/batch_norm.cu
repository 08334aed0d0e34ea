// Batch normalisation: a team for each channel.
#include <math.h>

#include "common/backend.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

struct BatchNormSettings {
  double batch, channels, pixels, is_training, relu, momentum, eps, weight_beta, bias_beta;
};

// The elements of one channel as runs; the long direction is the inner one.
struct ChannelWalk {
  int64_t runs, run_stride, count, stride;

  AX_HD static ChannelWalk of(int64_t batch, int64_t channels, int64_t pixels) {
    if (pixels < 16 && pixels < batch) return {pixels, 1, batch, channels * pixels};
    return {batch, channels * pixels, pixels, 1};
  }
  AX_HD int64_t total() const { return runs * count; }

  // Sum of f(position) over the channel, in double as in PyTorch.
  template <class Team, class F>
  AX_DEVICE double sum(const Team& team, const F& f) const {
    double total = 0;
    for (int64_t run = 0; run < runs; ++run) {
      const int64_t first = run * run_stride, step = stride;
      // The common step is named, so that it becomes a constant.
      total += step == 1 ? team.template sum<double>(count, [=](int64_t i) { return static_cast<double>(f(first + i)); })
                         : team.template sum<double>(count, [=](int64_t i) { return static_cast<double>(f(first + i * step)); });
    }
    return total;
  }

  template <class Team, class F>
  AX_DEVICE void each(const Team& team, const F& f) const {
    for (int64_t run = 0; run < runs; ++run) {
      const int64_t first = run * run_stride, step = stride;
      if (step == 1) {
        team.each(count, [=](int64_t i) { f(first + i); });
      } else {
        team.each(count, [=](int64_t i) { f(first + i * step); });
      }
    }
  }
};

template <class T>
AX_HD Compute<T> valueOr(const T* values, int64_t index, double otherwise) {
  return values == nullptr ? static_cast<Compute<T>>(otherwise) : static_cast<Compute<T>>(values[index]);
}

template <class T>
struct BatchNormForward {
  using C = Compute<T>;
  T* out;
  C* statistics;
  T *running_mean, *running_var;
  const T *x, *weight, *bias;
  ChannelWalk walk;
  int64_t channels, pixels;
  double momentum, eps;
  bool is_training, relu;

  AX_HD static void move(T* running, double value, double momentum) {
    *running = static_cast<T>(static_cast<C>((1 - momentum) * static_cast<double>(static_cast<C>(*running)) + momentum * value));
  }

  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t channel) const {
    const T* from = x + channel * pixels;
    T* to = out + channel * pixels;
    const double count = static_cast<double>(walk.total());
    double center, variance;
    if (is_training) {
      if (count == 0) return;
      center = walk.sum(team, [=](int64_t i) { return static_cast<C>(from[i]); }) / count;
      const double middle = center;
      variance = walk.sum(team, [=](int64_t i) {
        const double distance = static_cast<double>(static_cast<C>(from[i])) - middle;
        return distance * distance;
      }) / count;
    } else {
      center = static_cast<double>(static_cast<C>(running_mean[channel]));
      variance = static_cast<double>(static_cast<C>(running_var[channel]));
    }
    const C mean = static_cast<C>(center), rstd = static_cast<C>(1 / sqrt(variance + eps));
    if (team.isFirst()) {
      statistics[channel] = mean;
      statistics[channels + channel] = rstd;
      if (is_training && running_mean != nullptr) move(running_mean + channel, center, momentum);
      if (is_training && running_var != nullptr) move(running_var + channel, variance * (count / (count - 1)), momentum);
    }
    const C scale = rstd * valueOr(weight, channel, 1), shift = valueOr(bias, channel, 0) - mean * scale;
    if (relu) {
      walk.each(team, [=](int64_t i) {
        const C value = static_cast<C>(from[i]) * scale + shift;
        to[i] = static_cast<T>(value < C(0) ? C(0) : value);
      });
    } else {
      walk.each(team, [=](int64_t i) { to[i] = static_cast<T>(static_cast<C>(from[i]) * scale + shift); });
    }
  }
};

template <class T>
struct BatchNormBackward {
  using C = Compute<T>;
  T *out, *weight_out, *bias_out;
  const T *gradient, *x, *mask, *weight;
  const C* statistics;
  ChannelWalk walk;
  int64_t channels, pixels;
  double weight_beta, bias_beta;
  bool is_training;

  AX_HD static void add(T* to, double value, double beta) {
    const double before = beta == 0 ? 0 : beta * static_cast<double>(static_cast<C>(*to));
    *to = static_cast<T>(static_cast<C>(value + before));
  }

  template <class Team>
  AX_DEVICE void operator()(const Team& team, int64_t channel) const {
    const T *from = x + channel * pixels, *g = gradient + channel * pixels;
    T* to = out == nullptr ? nullptr : out + channel * pixels;
    if (mask != nullptr) {
      // Once, into the output. A condition inside the sums would cost more, and g++ 12 vectorises it wrongly.
      const T *source = g, *m = mask + channel * pixels;
      walk.each(team, [=](int64_t i) { to[i] = static_cast<C>(m[i]) > C(0) ? source[i] : static_cast<T>(C(0)); });
      g = to;
    }
    const double count = static_cast<double>(walk.total());
    const C mean = statistics[channel], rstd = count == 0 ? C(0) : statistics[channels + channel];
    const double sum = walk.sum(team, [=](int64_t i) { return static_cast<C>(g[i]); });
    const double product = walk.sum(team, [=](int64_t i) { return static_cast<C>(g[i]) * (static_cast<C>(from[i]) - mean); });
    if (team.isFirst()) {
      if (weight_out != nullptr) add(weight_out + channel, product * static_cast<double>(rstd), weight_beta);
      if (bias_out != nullptr) add(bias_out + channel, sum, bias_beta);
    }
    if (to == nullptr) return;
    const double r = static_cast<double>(rstd);
    const C scale = rstd * valueOr(weight, channel, 1);
    if (is_training) {
      const C average = static_cast<C>(sum / count), slope = static_cast<C>(product / count * r * r);
      walk.each(team, [=](int64_t i) {
        to[i] = static_cast<T>((static_cast<C>(g[i]) - average - (static_cast<C>(from[i]) - mean) * slope) * scale);
      });
    } else {
      walk.each(team, [=](int64_t i) { to[i] = static_cast<T>(static_cast<C>(g[i]) * scale); });
    }
  }
};

int32_t checkSettings(const BatchNormSettings& s) {
  if (s.batch >= 0 && s.channels >= 0 && s.pixels >= 0) return AX_OK;
  return fail(AX_ERROR_ARGUMENT, "sizes must not be negative");
}

template <class T>
int32_t forward(int32_t dtype, uint32_t out, double oo, uint32_t statistics, uint32_t running_mean, double mo, uint32_t running_var,
                double vo, uint32_t x, double xo, uint32_t weight, double wo, uint32_t bias, double bo, const BatchNormSettings& s) {
  const int64_t batch = static_cast<int64_t>(s.batch), channels = static_cast<int64_t>(s.channels), pixels = static_cast<int64_t>(s.pixels);
  BatchNormForward<T> body{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, ChannelWalk::of(batch, channels, pixels),
                           channels, pixels, s.momentum, s.eps, s.is_training != 0, s.relu != 0};
  const double count = s.batch * s.channels * s.pixels;
  AX_TRY(at(out, oo, count, dtype, &body.out));
  AX_TRY(at(x, xo, count, dtype, &body.x));
  AX_TRY(at(statistics, 0, 2 * s.channels, sizeof(T) == 8 ? AX_FLOAT64 : AX_FLOAT32, &body.statistics));
  AX_TRY(atIfGiven(running_mean, mo, s.channels, dtype, &body.running_mean));
  AX_TRY(atIfGiven(running_var, vo, s.channels, dtype, &body.running_var));
  AX_TRY(atIfGiven(weight, wo, s.channels, dtype, &body.weight));
  AX_TRY(atIfGiven(bias, bo, s.channels, dtype, &body.bias));
  if (!body.is_training && (running_mean == 0 || running_var == 0)) {
    return fail(AX_ERROR_ARGUMENT, "batch_norm outside training needs running statistics");
  }
  return forEachRow(channels, batch * pixels, body);
}

template <class T>
int32_t backward(int32_t dtype, uint32_t out, double oo, uint32_t weight_out, double wgo, uint32_t bias_out, double bgo, uint32_t gradient,
                 double go, uint32_t x, double xo, uint32_t mask, uint32_t weight, double wo, uint32_t statistics,
                 const BatchNormSettings& s) {
  const int64_t batch = static_cast<int64_t>(s.batch), channels = static_cast<int64_t>(s.channels), pixels = static_cast<int64_t>(s.pixels);
  BatchNormBackward<T> body{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                            ChannelWalk::of(batch, channels, pixels), channels, pixels, s.weight_beta, s.bias_beta, s.is_training != 0};
  const double count = s.batch * s.channels * s.pixels;
  AX_TRY(atIfGiven(out, oo, count, dtype, &body.out));
  AX_TRY(atIfGiven(weight_out, wgo, s.channels, dtype, &body.weight_out));
  AX_TRY(atIfGiven(bias_out, bgo, s.channels, dtype, &body.bias_out));
  AX_TRY(at(gradient, go, count, dtype, &body.gradient));
  AX_TRY(at(x, xo, count, dtype, &body.x));
  AX_TRY(atIfGiven(mask, 0, count, dtype, &body.mask));
  if (mask != 0 && out == 0) return fail(AX_ERROR_ARGUMENT, "batch_norm_backward with a mask needs an output");
  AX_TRY(atIfGiven(weight, wo, s.channels, dtype, &body.weight));
  AX_TRY(at(statistics, 0, 2 * s.channels, sizeof(T) == 8 ? AX_FLOAT64 : AX_FLOAT32, &body.statistics));
  return forEachRow(channels, batch * pixels, body);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

// Calls the instance for the dtype; returns from the function.
#define AX_BATCH_NORM(run, ...)                                                  \
  const BatchNormSettings& s = *static_cast<const BatchNormSettings*>(settings); \
  AX_TRY(checkSettings(s));                                                      \
  AX_BY_FLOATING("batch_norm", dtype, run, __VA_ARGS__)

int32_t ax_batch_norm_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t statistics, uint32_t running_mean,
                              double running_mean_offset, uint32_t running_var, double running_var_offset, uint32_t x,
                              double x_offset, uint32_t weight, double weight_offset, uint32_t bias, double bias_offset,
                              const void* settings) {
  AX_BATCH_NORM(forward, dtype, out, out_offset, statistics, running_mean, running_mean_offset, running_var, running_var_offset, x,
                x_offset, weight, weight_offset, bias, bias_offset, s);
}

int32_t ax_batch_norm_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t weight_out, double weight_out_offset,
                               uint32_t bias_out, double bias_out_offset, uint32_t gradient, double gradient_offset, uint32_t x,
                               double x_offset, uint32_t mask, uint32_t weight, double weight_offset, uint32_t statistics,
                               const void* settings) {
  AX_BATCH_NORM(backward, dtype, out, out_offset, weight_out, weight_out_offset, bias_out, bias_out_offset, gradient, gradient_offset, x,
                x_offset, mask, weight, weight_offset, statistics, s);
}
