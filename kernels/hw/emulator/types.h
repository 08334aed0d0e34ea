// Vector types and dimensions of the CUDA language.
#ifndef AX_HW_EMULATOR_TYPES_H_
#define AX_HW_EMULATOR_TYPES_H_

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#define AX_VECTOR_TYPE(name, T)                                                                               \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                          \
  struct alignas(16) name##4 { T x, y, z, w; };                                                               \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                  \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
AX_VECTOR_TYPE(int, int)
AX_VECTOR_TYPE(uint, unsigned)
AX_VECTOR_TYPE(float, float)
#undef AX_VECTOR_TYPE

struct alignas(16) double2 {
  double x, y;
};
inline double2 make_double2(double x, double y) { return {x, y}; }

struct alignas(16) longlong2 {
  long long x, y;
};

#endif  // AX_HW_EMULATOR_TYPES_H_
