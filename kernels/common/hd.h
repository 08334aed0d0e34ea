// Marks of functions that both compilers see: AX_HD for host and device, AX_DEVICE for what runs only inside a backend's loops and
// may use a Team; AX_ROW the same for bodies that the CPU should have once for each type they compute in.
#ifndef AX_COMMON_HD_H_
#define AX_COMMON_HD_H_
#ifdef __CUDACC__
#define AX_HD __host__ __device__ __forceinline__
#define AX_DEVICE __device__ __forceinline__
#define AX_ROW __device__ __forceinline__
#else  // also for an emulated GPU
#define AX_HD inline __attribute__((always_inline))
#define AX_DEVICE inline __attribute__((always_inline))
#define AX_ROW __attribute__((noinline))
#endif
#endif  // AX_COMMON_HD_H_
