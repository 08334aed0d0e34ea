// Errors of kernels/common/special.h in units in the last place, over every `step`-th float, against the C library in double.
// Build and run, with and without FMA:
//   g++ -std=c++17 -O3 -I kernels -ffp-contract=fast -fno-math-errno -fno-trapping-math [-march=x86-64-v3|-v4] kernels/dev/special/measure.cc
//   ./a.out 1
#include "common/special.h"

#include <stdio.h>
#include <stdlib.h>

namespace {

double sigmoidDouble(double x) { return 1 / (1 + exp(-x)); }

// Distance of `value` from `exact` in units in the last place of the float nearest to `exact`.
double ulps(float value, double exact) {
  const float nearest = static_cast<float>(exact);
  if (nearest != nearest) return value != value ? 0 : INFINITY;
  if (value == nearest) return value != 0 || signbit(value) == signbit(nearest) ? 0 : INFINITY;
  if (isinf(nearest) || isinf(value) || value != value) return INFINITY;
  int exponent;
  frexp(exact, &exponent);
  return fabs(value - exact) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

template <class F>
void measure(const char* name, F f, double (*exact)(double), uint32_t step) {
  constexpr int kBlock = 1024;
  static float in[kBlock], out[kBlock];
  double worst = 0;
  float at = 0;
  for (uint64_t first = 0; first < (uint64_t{1} << 32); first += uint64_t{kBlock} * step) {
    for (int i = 0; i < kBlock; ++i) {
      const uint32_t bits = static_cast<uint32_t>(first + static_cast<uint64_t>(i) * step);
      memcpy(in + i, &bits, 4);
    }
    for (int i = 0; i < kBlock; ++i) out[i] = f(in[i]);
    for (int i = 0; i < kBlock; ++i) {
      const double error = ulps(out[i], exact(static_cast<double>(in[i])));
      if (error > worst) worst = error, at = in[i];
    }
  }
  printf("%-8s %.3f ulp at %a\n", name, worst, static_cast<double>(at));
}

}  // namespace

int main(int argc, char** argv) {
  const uint32_t step = argc > 1 ? static_cast<uint32_t>(atoi(argv[1])) : 1;
  using namespace ax;
  measure("exp", [](float x) { return special::exp(x); }, exp, step);
  measure("exp<=0", [](float x) { return special::expNonPositive(x > 0 ? -x : x); }, [](double x) { return exp(-fabs(x)); }, step);
  measure("expm1", [](float x) { return special::expm1(x); }, expm1, step);
  measure("log", [](float x) { return special::log(x); }, log, step);
  measure("log1p", [](float x) { return special::log1p(x); }, log1p, step);
  measure("tanh", [](float x) { return special::tanh(x); }, tanh, step);
  measure("erf", [](float x) { return special::erf(x); }, erf, step);
  measure("sigmoid", [](float x) { return special::sigmoid(x); }, sigmoidDouble, step);
}
