// Marks of functions that both compilers see: AX_HD for host and device, AX_DEVICE for what runs only inside a backend's loops and
// may use a Team.
#ifndef AX_COMMON_HD_H_
#define AX_COMMON_HD_H_
#ifdef __CUDACC__
#define AX_HD __host__ __device__ __forceinline__
#define AX_DEVICE __device__ __forceinline__
#else
#define AX_HD inline __attribute__((always_inline))
#define AX_DEVICE inline __attribute__((always_inline))
#endif
#endif  // AX_COMMON_HD_H_
