// Marks functions that are compiled for the host and, under nvcc, for the device.
#ifndef AX_COMMON_HD_H_
#define AX_COMMON_HD_H_
#ifdef __CUDACC__
#define AX_HD __host__ __device__ __forceinline__
#else
#define AX_HD inline __attribute__((always_inline))
#endif
#endif  // AX_COMMON_HD_H_
