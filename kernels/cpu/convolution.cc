// Convolution on the CPU: see convolution_planes.h for the layout.
#include "common/convolution.h"
#include "cpu/convolution_correlation.h"
#include "cpu/convolution_weight_gradient.h"

namespace ax {
inline namespace AX_ISA {
namespace {

// What the forward pass and the gradient of the weights read.
PlaneLayout inputPlanes(const ConvolutionShape& s) {
  PlaneLayout whole{PlaneAxis::strided(s.in_height, s.out_height, s.kernel_height, s.stride_height, s.padding_top, s.dilation_height),
                    PlaneAxis::strided(s.in_width, s.out_width, s.kernel_width, s.stride_width, s.padding_left, s.dilation_width), 1, 0};
  whole.height.choosePitch();
  whole.width.choosePitch();
  return whole;
}

template <class T>
int32_t forward(const ConvolutionShape& s, T* out, const T* x, const T* weight, const T* bias, bool relu) {
  const int64_t channels = s.groupInputs(), rows = s.groupOutputs(), size = s.kernelSize(), width = s.kernel_width;
  Pass pass{{0, s.out_height, 1, 0, 0, 1, s.kernel_height}, {0, s.out_width, 1, 0, 0, 1, s.kernel_width}, 0};
  Correlation<T> job({s.batch, s.groups, channels, rows, s.out_height, s.out_width, s.inPixels(), inputPlanes(s), relu, out, x, nullptr,
                      bias});
  return job.run(&pass, 1, [=](int64_t group, int64_t row, int64_t channel, int64_t r, int64_t c) {
    return weight[((group * rows + row) * channels + channel) * size + r * width + c];
  });
}

// The taps r with r * dilation % stride == phase, and the inputs that they reach.
PassAxis passOf(const PlaneAxis& axis, int64_t inputs, int64_t size, int64_t stride, int64_t padding, int64_t dilation, int64_t phase) {
  const int64_t period = stride / std::gcd(stride, dilation), first = padding / stride;
  PassAxis p{0, 0, stride, first * stride + phase - padding, 0, period, 0};
  while (p.first_tap < std::min(size, period) && p.first_tap * dilation % stride != phase) ++p.first_tap;
  if (p.first_tap < std::min(size, period)) p.taps = (size - 1 - p.first_tap) / period + 1;
  p.begin = p.origin < 0 ? 1 : 0;
  p.end = p.origin < inputs ? std::min(axis.positions, (inputs - 1 - p.origin) / stride + 1) : 0;
  return p;
}

template <class T>
int32_t inputGradient(const ConvolutionShape& s, T* out, const T* gradient, const T* mask, const T* weight) {
  PlaneLayout whole{PlaneAxis::transposed(s.out_height, s.in_height, s.kernel_height, s.stride_height, s.padding_top, s.dilation_height),
                    PlaneAxis::transposed(s.out_width, s.in_width, s.kernel_width, s.stride_width, s.padding_left, s.dilation_width), 1, 0};
  whole.height.choosePitch();
  whole.width.choosePitch();
  thread_local PlaneScratch scratch;
  Pass* const passes = scratch.atLeast<Pass>(int64_t{s.stride_height} * s.stride_width);
  if (passes == nullptr) return fail(AX_ERROR_OUT_OF_MEMORY, "no memory for the phases of a convolution");
  int64_t count = 0;
  for (int32_t a = 0; a < s.stride_height; ++a) {
    for (int32_t b = 0; b < s.stride_width; ++b) {
      passes[count++] = {
          passOf(whole.height, s.in_height, s.kernel_height, s.stride_height, s.padding_top, s.dilation_height, a),
          passOf(whole.width, s.in_width, s.kernel_width, s.stride_width, s.padding_left, s.dilation_width, b), 0};
    }
  }
  const int64_t rows = s.groupInputs(), channels = s.groupOutputs(), size = s.kernelSize(), width = s.kernel_width;
  Correlation<T> job({s.batch, s.groups, channels, rows, s.in_height, s.in_width, s.outPixels(), whole, false, out, gradient, mask,
                      nullptr});
  return job.run(passes, count, [=](int64_t group, int64_t row, int64_t channel, int64_t r, int64_t c) {
    return weight[((group * channels + channel) * rows + row) * size + r * width + c];
  });
}


template <class T>
int32_t weightGradient(const ConvolutionShape& s, T* out, T* bias_out, const T* gradient, const T* mask, const T* x, double beta,
                       double bias_beta) {
  return WeightGradient<T>(s, inputPlanes(s), {out, bias_out, gradient, mask, x, beta, bias_beta}).run();
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

#include "common/convolution_api.h"
