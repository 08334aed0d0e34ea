// The geometry of a convolution, as accelerate.h describes it, and its checks for either backend.
#ifndef AX_COMMON_CONVOLUTION_H_
#define AX_COMMON_CONVOLUTION_H_
#include "common/layout.h"

namespace ax {
inline namespace AX_ISA {

struct ConvolutionShape {
  int32_t batch, in_channels, in_height, in_width, out_channels, out_height, out_width, kernel_height, kernel_width, stride_height,
      stride_width, padding_top, padding_left, dilation_height, dilation_width, groups;

  AX_HD int64_t groupInputs() const { return in_channels / groups; }
  AX_HD int64_t groupOutputs() const { return out_channels / groups; }
  AX_HD int64_t kernelSize() const { return int64_t{kernel_height} * kernel_width; }
  AX_HD int64_t inPixels() const { return int64_t{in_height} * in_width; }
  AX_HD int64_t outPixels() const { return int64_t{out_height} * out_width; }
  double inputs() const { return static_cast<double>(int64_t{batch} * in_channels * inPixels()); }
  double outputs() const { return static_cast<double>(int64_t{batch} * out_channels * outPixels()); }
  double weights() const { return static_cast<double>(out_channels * groupInputs() * kernelSize()); }
};

inline int32_t checkConvolution(const ConvolutionShape& s) {
  if (s.batch < 0 || s.in_channels < 1 || s.in_height < 1 || s.in_width < 1 || s.out_channels < 1 || s.out_height < 1 || s.out_width < 1 ||
      s.kernel_height < 1 || s.kernel_width < 1 || s.padding_top < 0 || s.padding_left < 0) {
    return fail(AX_ERROR_ARGUMENT, "sizes of a convolution must be positive, paddings not negative");
  }
  if (s.stride_height < 1 || s.stride_width < 1 || s.dilation_height < 1 || s.dilation_width < 1 || s.groups < 1) {
    return fail(AX_ERROR_ARGUMENT, "strides, dilations and groups of a convolution must be positive");
  }
  if (s.in_channels % s.groups != 0 || s.out_channels % s.groups != 0) {
    return fail(AX_ERROR_ARGUMENT, "%d and %d channels do not divide into %d groups", s.in_channels, s.out_channels, s.groups);
  }
  return AX_OK;
}

}  // namespace AX_ISA
}  // namespace ax

#endif  // AX_COMMON_CONVOLUTION_H_
