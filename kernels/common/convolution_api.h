// The exported functions of convolution, for the file of a backend that has defined forward, inputGradient and weightGradient.
#ifndef AX_COMMON_CONVOLUTION_API_H_
#define AX_COMMON_CONVOLUTION_API_H_
#include "common/convolution.h"
#include "common/floating.h"

namespace ax {
inline namespace AX_ISA {
namespace {

template <class T>
int32_t runForward(int32_t dtype, uint32_t out, double oo, uint32_t x, double xo, uint32_t weight, double wo, uint32_t bias, double bo,
                   const ConvolutionShape& s, bool relu) {
  T* to;
  const T *from, *weights, *biases = nullptr;
  AX_TRY(at(out, oo, s.outputs(), dtype, &to));
  AX_TRY(at(x, xo, s.inputs(), dtype, &from));
  AX_TRY(at(weight, wo, s.weights(), dtype, &weights));
  AX_TRY(atIfGiven(bias, bo, s.out_channels, dtype, &biases));
  return forward<T>(s, to, from, weights, biases, relu);
}

template <class T>
int32_t runInputGradient(int32_t dtype, uint32_t out, double oo, uint32_t gradient, double go, uint32_t mask, double mo, uint32_t weight,
                         double wo, const ConvolutionShape& s) {
  T* to;
  const T *from, *masks = nullptr, *weights;
  AX_TRY(at(out, oo, s.inputs(), dtype, &to));
  AX_TRY(at(gradient, go, s.outputs(), dtype, &from));
  AX_TRY(atIfGiven(mask, mo, s.outputs(), dtype, &masks));
  AX_TRY(at(weight, wo, s.weights(), dtype, &weights));
  return inputGradient<T>(s, to, from, masks, weights);
}

template <class T>
int32_t runWeightGradient(int32_t dtype, uint32_t out, double oo, uint32_t bias, double bo, uint32_t gradient, double go, uint32_t mask,
                          double mo, uint32_t x, double xo, const ConvolutionShape& s, double beta, double bias_beta) {
  T *to, *biases = nullptr;
  const T *from, *masks = nullptr, *input;
  AX_TRY(at(out, oo, s.weights(), dtype, &to));
  AX_TRY(atIfGiven(bias, bo, s.out_channels, dtype, &biases));
  AX_TRY(at(gradient, go, s.outputs(), dtype, &from));
  AX_TRY(atIfGiven(mask, mo, s.outputs(), dtype, &masks));
  AX_TRY(at(x, xo, s.inputs(), dtype, &input));
  return weightGradient<T>(s, to, biases, from, masks, input, beta, bias_beta);
}

}  // namespace
}  // namespace AX_ISA
}  // namespace ax

using namespace ax;

// Checks the geometry and calls the instance for the dtype; returns from the function.
#define AX_CONVOLVE(run, ...)                                                  \
  const ConvolutionShape& s = *static_cast<const ConvolutionShape*>(geometry); \
  AX_TRY(checkConvolution(s));                                                 \
  AX_BY_FLOATING("convolution", dtype, run, __VA_ARGS__)

int32_t ax_convolution_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t weight,
                               double weight_offset, uint32_t bias, double bias_offset, const void* geometry, int32_t relu) {
  AX_CONVOLVE(runForward, dtype, out, out_offset, x, x_offset, weight, weight_offset, bias, bias_offset, s, relu != 0);
}

int32_t ax_convolution_input_gradient(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                                      uint32_t mask, double mask_offset, uint32_t weight, double weight_offset, const void* geometry) {
  AX_CONVOLVE(runInputGradient, dtype, out, out_offset, gradient, gradient_offset, mask, mask_offset, weight, weight_offset, s);
}

int32_t ax_convolution_weight_gradient(int32_t dtype, uint32_t out, double out_offset, uint32_t bias_out, double bias_out_offset,
                                       uint32_t gradient, double gradient_offset, uint32_t mask, double mask_offset, uint32_t x,
                                       double x_offset, const void* geometry, double beta, double bias_beta) {
  AX_CONVOLVE(runWeightGradient, dtype, out, out_offset, bias_out, bias_out_offset, gradient, gradient_offset, mask, mask_offset, x,
              x_offset, s, beta, bias_beta);
}

#endif  // AX_COMMON_CONVOLUTION_API_H_
