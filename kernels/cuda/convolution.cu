// Convolution on a GPU: a thread for every result, which sums in a fixed order.
#include "common/convolution.h"
#include "cuda/backend.cuh"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
struct ForwardBody {
  ConvolutionShape s;
  T* out;
  const T *x, *weight, *bias;
  bool relu;
  AX_HD void operator()(At<1> at) const {
    using C = Compute<T>;
    const int64_t pixels = s.outPixels(), channels = s.groupInputs(), ox = at.v[0] % s.out_width, oy = at.v[0] % pixels / s.out_width;
    const int64_t k = at.v[0] / pixels % s.out_channels, n = at.v[0] / pixels / s.out_channels, first = k / s.groupOutputs() * channels;
    C sum = bias == nullptr ? C(0) : static_cast<C>(bias[k]);
    for (int64_t c = 0; c < channels; ++c) {
      const T* from = x + (n * s.in_channels + first + c) * s.inPixels();
      const T* taps = weight + (k * channels + c) * s.kernelSize();
      for (int64_t r = 0; r < s.kernel_height; ++r) {
        const int64_t y = oy * s.stride_height - s.padding_top + r * s.dilation_height;
        if (y < 0 || y >= s.in_height) continue;
        for (int64_t q = 0; q < s.kernel_width; ++q) {
          const int64_t column = ox * s.stride_width - s.padding_left + q * s.dilation_width;
          if (column < 0 || column >= s.in_width) continue;
          sum += static_cast<C>(taps[r * s.kernel_width + q]) * static_cast<C>(from[y * s.in_width + column]);
        }
      }
    }
    if (relu && sum < C(0)) sum = C(0);
    out[at.v[0]] = static_cast<T>(sum);
  }
};

// A gradient of the output, zero where a fused ReLU was.
template <class T>
AX_HD Compute<T> masked(const T* gradient, const T* mask, int64_t position) {
  using C = Compute<T>;
  return mask == nullptr || static_cast<C>(mask[position]) > C(0) ? static_cast<C>(gradient[position]) : C(0);
}

template <class T>
struct InputBody {
  ConvolutionShape s;
  T* out;
  const T *gradient, *mask, *weight;
  AX_HD void operator()(At<1> at) const {
    using C = Compute<T>;
    const int64_t pixels = s.inPixels(), rows = s.groupOutputs(), channels = s.groupInputs();
    const int64_t ix = at.v[0] % s.in_width, iy = at.v[0] % pixels / s.in_width, channel = at.v[0] / pixels % s.in_channels;
    const int64_t n = at.v[0] / pixels / s.in_channels, group = channel / channels;
    C sum = C(0);
    for (int64_t k = group * rows; k < (group + 1) * rows; ++k) {
      const T* taps = weight + (k * channels + channel % channels) * s.kernelSize();
      for (int64_t r = 0; r < s.kernel_height; ++r) {
        const int64_t y = iy + s.padding_top - r * s.dilation_height;
        if (y < 0 || y % s.stride_height != 0 || y / s.stride_height >= s.out_height) continue;
        for (int64_t q = 0; q < s.kernel_width; ++q) {
          const int64_t column = ix + s.padding_left - q * s.dilation_width;
          if (column < 0 || column % s.stride_width != 0 || column / s.stride_width >= s.out_width) continue;
          const int64_t position = (n * s.out_channels + k) * s.outPixels() + y / s.stride_height * s.out_width + column / s.stride_width;
          sum += static_cast<C>(taps[r * s.kernel_width + q]) * masked(gradient, mask, position);
        }
      }
    }
    out[at.v[0]] = static_cast<T>(sum);
  }
};

template <class T>
AX_HD void addTo(T* out, Compute<T> sum, double beta) {
  using C = Compute<T>;
  *out = static_cast<T>(beta == 0 ? sum : sum + static_cast<C>(beta) * static_cast<C>(*out));
}

template <class T>
struct WeightBody {
  ConvolutionShape s;
  T* out;
  const T *gradient, *mask, *x;
  double beta;
  AX_HD void operator()(At<1> at) const {
    using C = Compute<T>;
    const int64_t channels = s.groupInputs(), q = at.v[0] % s.kernel_width, r = at.v[0] / s.kernel_width % s.kernel_height;
    const int64_t c = at.v[0] / s.kernelSize() % channels, k = at.v[0] / s.kernelSize() / channels;
    const int64_t channel = k / s.groupOutputs() * channels + c;
    C sum = C(0);
    for (int64_t n = 0; n < s.batch; ++n) {
      const T* from = x + (n * s.in_channels + channel) * s.inPixels();
      const int64_t first = (n * s.out_channels + k) * s.outPixels();
      for (int64_t oy = 0; oy < s.out_height; ++oy) {
        const int64_t y = oy * s.stride_height - s.padding_top + r * s.dilation_height;
        if (y < 0 || y >= s.in_height) continue;
        for (int64_t ox = 0; ox < s.out_width; ++ox) {
          const int64_t column = ox * s.stride_width - s.padding_left + q * s.dilation_width;
          if (column < 0 || column >= s.in_width) continue;
          sum += masked(gradient, mask, first + oy * s.out_width + ox) * static_cast<C>(from[y * s.in_width + column]);
        }
      }
    }
    addTo(out + at.v[0], sum, beta);
  }
};

template <class T>
struct BiasBody {
  ConvolutionShape s;
  T* out;
  const T *gradient, *mask;
  double beta;
  AX_HD void operator()(At<1> at) const {
    Compute<T> sum = 0;
    for (int64_t n = 0; n < s.batch; ++n) {
      const int64_t first = (n * s.out_channels + at.v[0]) * s.outPixels();
      for (int64_t i = 0; i < s.outPixels(); ++i) sum += masked(gradient, mask, first + i);
    }
    addTo(out + at.v[0], sum, beta);
  }
};

template <class Body>
int32_t forAll(double count, const Body& body) {
  return forEach<1>(count, Layout<1>{nullptr, 0}, body);
}

template <class T>
int32_t forward(const ConvolutionShape& s, T* out, const T* x, const T* weight, const T* bias, bool relu) {
  return forAll(s.outputs(), ForwardBody<T>{s, out, x, weight, bias, relu});
}

template <class T>
int32_t inputGradient(const ConvolutionShape& s, T* out, const T* gradient, const T* mask, const T* weight) {
  return forAll(s.inputs(), InputBody<T>{s, out, gradient, mask, weight});
}

template <class T>
int32_t weightGradient(const ConvolutionShape& s, T* out, T* bias_out, const T* gradient, const T* mask, const T* x, double beta,
                       double bias_beta) {
  AX_TRY(forAll(s.weights(), WeightBody<T>{s, out, gradient, mask, x, beta}));
  return bias_out == nullptr ? AX_OK : forAll(s.out_channels, BiasBody<T>{s, bias_out, gradient, mask, bias_beta});
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

#include "common/convolution_api.h"
