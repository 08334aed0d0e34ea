// The C ABI of Accelerate for Deno: every function that the native libraries export, and nothing else.
//
// libaccelerate_cpu.so and libaccelerate_cuda.so export exactly these names. tools/gen_symbols.ts reads this file and
// writes ffi/symbols.ts, so the types are a closed set: int32_t, uint32_t, int64_t, uint64_t, float, double,
// `void*` / `const void*` (HOST memory only) and `const char*` (NUL-terminated UTF-8). No bool, size_t, struct by value
// or callback; at most 16 parameters.
//
// Rules that hold for every function:
// - It returns a status: AX_OK, or a code below with a sentence in ax_last_error(). It never exits, prints or throws.
// - Arguments come in the order: kind (operation, dtype), outputs, inputs, sizes, scalars.
// - A tensor argument is a pair: a storage id (uint32_t) and an offset into it, counted in ELEMENTS of its dtype and passed
//   as double (exact to 2^53; a 64-bit integer would leave Deno's fast path). Counts are doubles for the same reason.
//   A released or unknown id is AX_ERROR_STORAGE; a range that leaves its storage is AX_ERROR_RANGE.
// - `layout` is an int32 array of ndim shape entries (outermost first), then ndim strides in elements for the output, then
//   ndim for each input in the order of the arguments. ndim 0 means: all operands are contiguous and hold `count` elements.
//   A stride of 0 broadcasts. ndim is at most AX_MAX_NDIM.
// - An elementwise output may be the same memory as an input when both have the same layout; no other overlap is allowed.
// - Work is enqueued on the calling thread's device; on the CPU it is finished on return. Only functions tagged
//   AX_NONBLOCKING may wait long; Deno runs these on another thread, so they write their error into the caller's buffer
//   `error` (NUL-terminated, cut to error_bytes) instead of ax_last_error().
//
// AX_OP marks functions whose code is instruction-set dependent: the CPU library holds them once for each level
// (x86-64 baseline, AVX2, AVX-512) and build.ts generates their dispatch. AX_API marks all others.
#ifndef ACCELERATE_H_
#define ACCELERATE_H_
#include <stdint.h>

#define AX_EXPORT extern "C" __attribute__((visibility("default")))
#define AX_API AX_EXPORT
#ifndef AX_OP
#define AX_OP AX_EXPORT
#endif
#define AX_NONBLOCKING AX_EXPORT

enum {
  AX_OK = 0,
  AX_ERROR_ARGUMENT = 1,      // an argument breaks its documented rule
  AX_ERROR_STORAGE = 2,       // a storage id that is unknown or was released
  AX_ERROR_RANGE = 3,         // offset and count leave the storage
  AX_ERROR_OUT_OF_MEMORY = 4,
  AX_ERROR_UNSUPPORTED = 5,   // this library has no such operation for this dtype
  AX_ERROR_DEVICE = 6,        // no driver, no GPU, or a CUDA error
  AX_ERROR_INDEX = 7,         // an index tensor holds a value outside its dimension
  AX_ERROR_TIMEOUT = 8,       // a collective waited longer than its timeout
  AX_ERROR_PEER = 9,          // a rank of the communicator is dead: ax_comm_failed_rank names it
  AX_ERROR_MISMATCH = 10,     // ranks called different collectives: ax_comm_failed_rank names one that differs
  AX_ERROR_SYSTEM = 11,       // a system call failed
  AX_ERROR_CAPTURE = 12       // not possible in a recorded step
};

enum {
  AX_FLOAT32 = 0, AX_FLOAT64 = 1, AX_BFLOAT16 = 2, AX_FLOAT16 = 3,
  AX_INT32 = 4, AX_INT64 = 5, AX_UINT8 = 6, AX_BOOL = 7
};

enum { AX_MAX_NDIM = 8 };

// What a storage is for: memory statistics are kept by category.
enum {
  AX_MEMORY_OTHER = 0, AX_MEMORY_PARAMETER = 1, AX_MEMORY_GRADIENT = 2, AX_MEMORY_OPTIMIZER = 3,
  AX_MEMORY_ACTIVATION = 4, AX_MEMORY_SCALAR = 5, AX_MEMORY_CATEGORIES = 6
};

// ---------------------------------------------------------------------------------------------------------------------
// Library and device
// ---------------------------------------------------------------------------------------------------------------------

// Writes the SHA-256 (64 hex digits, NUL) of the accelerate.h that the library was built from.
AX_API int32_t ax_abi_hash(void* text, int32_t bytes);

// Writes the calling thread's last error sentence, NUL-terminated, cut to `bytes`.
AX_API int32_t ax_last_error(void* text, int32_t bytes);

// Writes `key=value` lines: backend, isa, threads (CPU); backend, runtime, driver, device name, compute capability (CUDA).
AX_API int32_t ax_library_describe(void* text, int32_t bytes);

// Sets how many threads an operation may use, the calling one included (1 to 1024). The default is the number of usable
// cores divided by LOCAL_WORLD_SIZE, or ACCELERATE_NUM_THREADS. No effect on CUDA.
AX_API int32_t ax_threads_set(int32_t count);

// Writes the number of devices (int32_t): 1 on the CPU; on CUDA 0 and AX_ERROR_DEVICE where there is no driver.
AX_API int32_t ax_device_count(void* count);

// Makes device `index` current for the calling thread. An operation does so itself with the device of its operands.
AX_API int32_t ax_device_select(int32_t index);

// Waits for all work of device `index` enqueued so far. For short waits on the calling thread.
AX_API int32_t ax_device_synchronize(int32_t index);

// The same on another thread, for long waits.
AX_NONBLOCKING int32_t ax_device_synchronize_async(int32_t index, void* error, int32_t error_bytes);

// ---------------------------------------------------------------------------------------------------------------------
// Storages and host copies
// ---------------------------------------------------------------------------------------------------------------------

// Allocates `bytes` (0 is allowed) on device `device` (an index; 0 on the CPU) from the caching allocator, 64-byte aligned, not initialised;
// writes the id (uint32_t, never 0) to `id`. Ids of released storages are not reused until 2^10 generations of their slot have passed.
AX_API int32_t ax_storage_create(void* id, int32_t device, double bytes, int32_t category);

// Releases `count` storages (uint32_t ids). All valid ids are released even when one is not; that one is then reported.
AX_API int32_t ax_storage_release(const void* ids, int32_t count);

// Moves a storage's bytes to another category of the statistics.
AX_API int32_t ax_storage_categorize(uint32_t id, int32_t category);

// Writes the storage's host address (uint64_t) and its bytes (uint64_t). CPU library only; AX_ERROR_UNSUPPORTED on CUDA.
AX_API int32_t ax_storage_address(void* address_and_bytes, uint32_t id);

// Copies `bytes` from a storage to host memory, after all work enqueued before. Byte offsets, not elements.
AX_API int32_t ax_storage_read(void* host, uint32_t storage, double byte_offset, double bytes);

// Copies `bytes` of host memory into a storage; `host` may be reused on return. On CUDA it returns before the copy has happened.
AX_API int32_t ax_storage_write(uint32_t storage, double byte_offset, const void* host, double bytes);

enum { AX_MEMORY_STATS = 20 };

// Writes AX_MEMORY_STATS doubles about a device: live storages, live bytes, cached bytes, peak live bytes, bytes obtained from the system;
// AX_MEMORY_CATEGORIES pairs of live storages and live bytes; then bytes that recorded steps keep for their replays, and free and total
// bytes of the device, other processes included (0 on the CPU). `count` is the room in doubles.
AX_API int32_t ax_memory_stats(void* stats, int32_t count, int32_t device);

// Gives a device's cached memory back to the system, and sets the peak to what is live.
AX_API int32_t ax_memory_trim(int32_t device);

// ---------------------------------------------------------------------------------------------------------------------
// Recorded steps (CUDA graphs; AX_ERROR_UNSUPPORTED on the CPU)
// ---------------------------------------------------------------------------------------------------------------------

// From now on, what the calling thread enqueues on the device is recorded and not run, and what it allocates there stays with the recording.
// A call that waits for the GPU or copies from or to the host is AX_ERROR_CAPTURE.
AX_API int32_t ax_graph_begin(int32_t device);

// Ends recording. With keep 1 it writes the id (uint32_t) of the recorded step to `graph`; with keep 0 the recording is thrown away.
AX_API int32_t ax_graph_end(void* graph, int32_t keep);

// Enqueues a recorded step. Its calls get new numbers: `numbers` is double[count], the `hyper` of every optimizer call in the order in which
// they were recorded; random numbers come from the key (seed_low, seed_high), their counters are those of then plus random_shift.
AX_API int32_t ax_graph_replay(uint32_t graph, const void* numbers, double count, uint32_t seed_low, uint32_t seed_high,
                               double random_shift);

// Frees a recorded step. What was allocated in it and is live stays.
AX_API int32_t ax_graph_release(uint32_t graph);

// ---------------------------------------------------------------------------------------------------------------------
// Fill, copy, random numbers
// ---------------------------------------------------------------------------------------------------------------------

// out[i] = value, contiguous. All dtypes.
AX_OP int32_t ax_fill(int32_t dtype, uint32_t out, double out_offset, double count, double value);

// out[i] = start + i * step, contiguous, computed in double. All dtypes but bool.
AX_OP int32_t ax_arange(int32_t dtype, uint32_t out, double out_offset, double count, double start, double step);

// out = x, converted; strided on both sides. All pairs of dtypes. Float to integer truncates; to bool is `!= 0`.
AX_OP int32_t ax_copy(int32_t out_dtype, int32_t x_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                      double count, const void* layout, int32_t ndim);

// Philox-4x32-10 with key (seed_low, seed_high). Element i uses lane i % 4 of counter block `counter` + i / 4 (128-bit counter
// (block low, block high, 0, 0)), so the caller advances `counter` by ceil(count / 4) per call. float32 and float64 are drawn
// from the same 32 bits, so that they are the same numbers. bfloat16 and float16 are computed in float and rounded.
// Uniform in [low, high): low + (high - low) * u with u = (bits >> 8) * 2^-24; of bfloat16 and float16 with the upper 8 and 11 bits,
// so that rounding does not give 1.
AX_OP int32_t ax_random_uniform(int32_t dtype, uint32_t out, double out_offset, double count, double low, double high,
                                uint32_t seed_low, uint32_t seed_high, double counter);
// Normal: Box-Muller on lanes (0, 1) and (2, 3): u1 = ((bits0 >> 8) + 1) * 2^-24, u2 = (bits1 >> 8) * 2^-24;
// the first lane gets sqrt(-2 ln u1) cos(2 pi u2), the second sin.
AX_OP int32_t ax_random_normal(int32_t dtype, uint32_t out, double out_offset, double count, double mean, double deviation,
                               uint32_t seed_low, uint32_t seed_high, double counter);
// Integers in [low, high): low + floor(bits * (high - low) / 2^32) in exact integer arithmetic. All dtypes. high - low is at most
// 2^32.
AX_OP int32_t ax_random_integers(int32_t dtype, uint32_t out, double out_offset, double count, double low, double high,
                                 uint32_t seed_low, uint32_t seed_high, double counter);
// out[i] = u[i] >= p ? x[i] / (1 - p) : 0 with the uniform u of ax_random_uniform, contiguous. The backward pass is the same
// call on the gradient with the same key and counter, so no mask is stored. Floating dtypes. p in [0, 1]; p = 1 gives zeros.
AX_OP int32_t ax_dropout(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p,
                         uint32_t seed_low, uint32_t seed_high, double counter);

// ---------------------------------------------------------------------------------------------------------------------
// Elementwise and reductions (operation ids: the lists in common/math.h, generated into ffi/op_ids.ts)
// ---------------------------------------------------------------------------------------------------------------------

// out = f(x; alpha, beta). Floating dtypes; the exact operations (see AX_UNARY_OPS) all dtypes; the integer ones int32, int64, uint8
// and bool. bfloat16 and float16 are computed in float and rounded once, integers in int64 of which the lower bits are kept, bool
// as 0 and 1, of which the result is whether it is not 0.
AX_OP int32_t ax_unary(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count,
                       const void* layout, int32_t ndim, double alpha, double beta);

// out = f(a, b; alpha, beta), same dtype for all. Dtypes as ax_unary. Integer division by 0 gives 0.
AX_OP int32_t ax_binary(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                        double b_offset, double count, const void* layout, int32_t ndim, double alpha, double beta);

// out (bool) = f(a, b). All dtypes.
AX_OP int32_t ax_compare(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                         double b_offset, double count, const void* layout, int32_t ndim);

// out = condition (bool) ? a : b. Strides in `layout`: out, condition, a, b. All dtypes.
AX_OP int32_t ax_where(int32_t dtype, uint32_t out, double out_offset, uint32_t condition, double condition_offset, uint32_t a,
                       double a_offset, uint32_t b, double b_offset, double count, const void* layout, int32_t ndim);

// out = scale * reduction of x + beta * out; out is contiguous over the kept dimensions. `layout` holds kept_ndim shape
// entries and kept_ndim strides of x, then reduced_ndim shape entries and reduced_ndim strides of x. x (dtype) is computed as in
// ax_unary, and the result is converted to out_dtype once. Sums run in many lanes and are combined pairwise; an empty sum is 0, an
// empty maximum is AX_ERROR_ARGUMENT. All dtypes; scale must be 1 for integers. NaN propagates through maximum and minimum. The
// result does not depend on the number of threads.
AX_OP int32_t ax_reduce(int32_t op, int32_t out_dtype, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                        const void* layout, int32_t kept_ndim, int32_t reduced_ndim, double scale, double beta);

// out (int64) = index of the first maximum (op AX_REDUCE_MAX) or minimum (AX_REDUCE_MIN), counted over the reduced dimensions
// in row-major order; the first NaN wins. Layout as ax_reduce. All dtypes.
AX_OP int32_t ax_arg_reduce(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                            const void* layout, int32_t kept_ndim, int32_t reduced_ndim);

// ---------------------------------------------------------------------------------------------------------------------
// Matrix product
// ---------------------------------------------------------------------------------------------------------------------

enum {
  AX_EPILOGUE_NONE = 0,
  AX_EPILOGUE_BIAS = 1,            // + bias (n)
  AX_EPILOGUE_BIAS_RELU = 2,       // relu(. + bias)
  AX_EPILOGUE_BIAS_GELU = 3,       // gelu(. + bias), exact; aux, unless its id is 0, receives . + bias
  AX_EPILOGUE_BIAS_GELU_TANH = 4,  // the same with the approximation by tanh
  AX_EPILOGUE_BIAS_RESIDUAL = 5,   // . + bias + aux
  AX_EPILOGUE_RELU_GRAD = 6,       // . * (aux > 0), aux is the output of the ReLU
  AX_EPILOGUE_GELU_GRAD = 7,       // . * gelu'(aux), aux is the input of the GELU
  AX_EPILOGUE_GELU_TANH_GRAD = 8   // the same for the approximation by tanh
};

// out (batch, m, n) = epilogue(alpha * a (batch, m, k) x b (batch, k, n) + beta * out). float32, float64, bfloat16, float16; the
// 16-bit ones are summed in float32 and rounded once, after the epilogue.
// `shape` is int32: batch, m, n, k, transpose_a, transpose_b, lda, ldb, ldc, batch_stride_a, batch_stride_b,
// batch_stride_out, allow_tf32. Matrices are row-major with leading dimension ld (elements between rows of the stored matrix); transpose_a
// means that a is stored (k, m), transpose_b that b is stored (n, k). A batch stride of 0 shares the matrix. bias and aux
// (same layout as out) are read or written only where the epilogue says so; bias id 0 means no bias. beta needs epilogue 0.
// allow_tf32 = 1 lets a GPU round float32 operands to 10 bits of fraction (sums stay float32); the CPU takes no notice.
// k = 0 makes the product 0. out must not overlap an input; aux that is read may be out itself.
AX_OP int32_t ax_matmul(int32_t dtype, uint32_t out, double out_offset, uint32_t a, double a_offset, uint32_t b,
                        double b_offset, uint32_t bias, double bias_offset, uint32_t aux, double aux_offset,
                        const void* shape, int32_t epilogue, double alpha, double beta);

// ---------------------------------------------------------------------------------------------------------------------
// Indexing
// ---------------------------------------------------------------------------------------------------------------------

// out (outer, index_count, inner) = x (outer, dim_size, inner) taken at index (index_count; int32 or int64); all contiguous.
// An index outside [0, dim_size) is AX_ERROR_INDEX (on CUDA it is reported by the next synchronisation). All dtypes.
AX_OP int32_t ax_index_select(int32_t dtype, int32_t index_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                              uint32_t index, double index_offset, double outer, double dim_size, double index_count,
                              double inner);

// out (outer, dim_size, inner) += x (outer, index_count, inner) at index: the gradient of ax_index_select. Sums in the order
// of the index, so it is deterministic. float32, float64.
AX_OP int32_t ax_index_add(int32_t dtype, int32_t index_dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                           uint32_t index, double index_offset, double outer, double dim_size, double index_count,
                           double inner);

// out (outer, index_count, inner) = x (outer, size, inner) taken at index (outer, index_count, inner; int64) of the middle dimension;
// all contiguous. An index outside [0, size) is AX_ERROR_INDEX, as in ax_index_select. All dtypes.
AX_OP int32_t ax_gather(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t index,
                        double index_offset, double outer, double size, double index_count, double inner);

// out (outer, size, inner) at index (outer, index_count, inner; int64) = x (outer, index_count, inner). Of several values for one
// place the last stays. All dtypes.
AX_OP int32_t ax_scatter(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t index,
                         double index_offset, double outer, double size, double index_count, double inner);

// The same with += , in the order of the index, so it is deterministic: the gradient of ax_gather. float32, float64, int64.
AX_OP int32_t ax_scatter_add(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t index,
                             double index_offset, double outer, double size, double index_count, double inner);

enum { AX_CUMULATE_SUM = 0, AX_CUMULATE_PROD = 1 };

// out = running totals (or products) of x along the middle dimension of (outer, count, inner), from the end when `reverse` is 1. A
// float32 total is kept in double. float32, float64, int64.
AX_OP int32_t ax_cumulate(int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double outer,
                          double count, double inner, int32_t reverse);

// out = x (batch, rows, cols) on and above (upper 1) or on and below (upper 0) the diagonal that begins at column `diagonal`, else 0.
// All dtypes.
AX_OP int32_t ax_triangle(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double batch, double rows,
                          double cols, double diagonal, int32_t upper);

// values (rows, take) and indices (rows, take; int64) = the first `take` elements of each row of x (rows, count) in ascending order,
// or in descending order. Stable: equal elements stay in the order of their indices. NaN is the greatest. All dtypes.
AX_API int32_t ax_sort(int32_t dtype, uint32_t values, double values_offset, uint32_t indices, double indices_offset, uint32_t x,
                       double x_offset, double rows, double count, double take, int32_t descending);

// ---------------------------------------------------------------------------------------------------------------------
// Rows: softmax and normalisation (contiguous operands, floating dtypes; 16-bit ones are computed in float32)
// ---------------------------------------------------------------------------------------------------------------------

enum { AX_SOFTMAX = 0, AX_LOG_SOFTMAX = 1, AX_LOGSUMEXP = 2 };

// Over the middle dimension of x (outer, size, inner). out has x's shape, for AX_LOGSUMEXP (outer, inner). A row of -infinity gives
// NaN, its logarithm of the sum of exponentials -infinity, as in PyTorch.
AX_OP int32_t ax_softmax_forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double outer,
                                 double size, double inner);

// out = the gradient of the input, from that of the result and the result. Not for AX_LOGSUMEXP.
AX_OP int32_t ax_softmax_backward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                                  uint32_t result, double result_offset, double outer, double size, double inner);

enum { AX_LAYER_NORM = 0, AX_RMS_NORM = 1 };

// Each row of x (rows, cols): out = (row - mean) * rstd * weight (cols) + bias (cols), rstd = 1 / sqrt(average((row - mean)^2) + eps);
// AX_RMS_NORM takes 0 for the mean. Ids 0: no weight, no bias. stats, float64 for float64 and else float32, receives rstd (rows), then
// mean (rows) for AX_LAYER_NORM; it starts at offset 0.
AX_OP int32_t ax_norm_forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t stats, uint32_t x, double x_offset,
                              uint32_t weight, double weight_offset, uint32_t bias, double bias_offset, double rows, double cols,
                              double eps);

// out = the gradient of x; sums (dtype of stats, offset 0) = (splits, cols) partial sums over rows of the gradient of the weight, then
// for AX_LAYER_NORM as many for the bias. Either id may be 0. Split k takes rows [rows k / splits, rows (k + 1) / splits).
AX_OP int32_t ax_norm_backward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t sums, uint32_t gradient,
                               double gradient_offset, uint32_t x, double x_offset, uint32_t weight, double weight_offset, uint32_t stats,
                               double rows, double cols, double splits);

// ---------------------------------------------------------------------------------------------------------------------
// Losses (contiguous operands)
// ---------------------------------------------------------------------------------------------------------------------

// Losses of an input x and a target y, d = x - y:
enum {
  AX_LOSS_MSE = 0,              // d^2
  AX_LOSS_L1 = 1,               // |d|
  AX_LOSS_SMOOTH_L1 = 2,        // d^2 / (2 beta) where |d| < beta, else |d| - beta / 2
  AX_LOSS_BCE_WITH_LOGITS = 3,  // -(y log(sigmoid(x)) + (1 - y) log(1 - sigmoid(x)))
  AX_LOSS_KL_DIV = 4,           // y (log(y) - x), 0 log(0) = 0
  AX_LOSS_KL_DIV_LOG = 5        // exp(y) (y - x)
};

// out (count) = losses, or with sums 1 out (1) = scale * sum of the losses. float32, float64.
AX_OP int32_t ax_loss_forward(int32_t kind, int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t y,
                              double y_offset, double count, int32_t sums, double scale, double beta);

// dx, dy (offset 0; either id may be 0) = scale * gradient[i * gradient_stride] * derivative. gradient_stride is 0 or 1.
AX_OP int32_t ax_loss_backward(int32_t kind, int32_t dtype, uint32_t dx, uint32_t dy, uint32_t gradient, double gradient_offset,
                               int32_t gradient_stride, uint32_t x, double x_offset, uint32_t y, double y_offset, double count,
                               double scale, double beta);

// Cross-entropy of logits (rows, cols) of any floating dtype; losses, lse, gradient and weight are float64 for float64 and else
// float32, losses and lse at offset 0. target is int32 or int64; a value outside [0, cols) that is not ignore_index is AX_ERROR_INDEX.
// weight (cols) may have id 0: all ones. `options` is double[5]: rows, cols, ignore_index, smoothing, and 1 where the logits are
// log-probabilities already (then lse is not used, and smoothing has no effect).
// lse = log(sum(exp(row))), l[j] = lse - row[j]: losses = (1 - smoothing) weight[target] l[target] + smoothing / cols * sum(weight[j] l[j]),
// 0 where target == ignore_index.
AX_OP int32_t ax_cross_entropy_forward(int32_t dtype, int32_t target_dtype, uint32_t losses, uint32_t lse, uint32_t logits,
                                       double logits_offset, uint32_t target, double target_offset, uint32_t weight,
                                       double weight_offset, const void* options);

// mean (1) = sum(losses) / valid; valid (1) = sum of weight[target] over rows whose target is not ignore_index. 0 / 0 is NaN, as in
// PyTorch. float32, float64.
AX_OP int32_t ax_cross_entropy_mean(int32_t dtype, int32_t target_dtype, uint32_t mean, double mean_offset, uint32_t valid,
                                    double valid_offset, uint32_t losses, uint32_t target, double target_offset, uint32_t weight,
                                    double weight_offset, double rows, double cols, double ignore_index);

// out (rows, cols) = gradient[row * gradient_stride] * d losses[row] / d logits. gradient_stride is 0 (one value) or 1.
AX_OP int32_t ax_cross_entropy_backward(int32_t dtype, int32_t target_dtype, uint32_t out, double out_offset, uint32_t gradient,
                                        double gradient_offset, int32_t gradient_stride, uint32_t lse, uint32_t logits,
                                        double logits_offset, uint32_t target, double target_offset, uint32_t weight,
                                        double weight_offset, const void* options);

// ---------------------------------------------------------------------------------------------------------------------
// Attention
// ---------------------------------------------------------------------------------------------------------------------

enum { AX_ATTENTION_CAUSAL = 1 };
enum { AX_ATTENTION_NO_MASK = 0, AX_ATTENTION_BOOL_MASK = 1, AX_ATTENTION_ADDED_MASK = 2 };

// Scaled dot product attention in blocks: out = dropout(softmax(scale * q k^T + mask)) v for every batch and head; the scores never
// lie in memory. float32, float64, bfloat16, float16, the last two computed in float32. A query that may see no key gives zeros.
//
// These functions have more operands than arguments, so all pairs of id and offset come in one array. `operands` is double:
//   forward:  out, lse, q, k, v, mask;
//   backward: grad_q, grad_k, grad_v, grad_scores, grad_out, q, k, v, out, lse, mask.
// lse (batch, heads, q_len) is contiguous and of the dtype of computation: the log of the sum of the exponentials, -inf for a query
// without a key. mask has id 0 where there is none. grad_scores has id 0, or is (batch, heads, q_len, k_len), contiguous and
// zeroed, and receives the gradient of the scores, in the dtype of computation: that of an added mask before it is summed.
//
// `shape` is int32[40]: batch, heads, kv_heads (divides heads: head h reads h / (heads / kv_heads)), q_len, k_len, dim (of q and k),
// v_dim, flags, kind of mask, dtype of an added mask (q's, or float32 with 16-bit operands); then strides in elements, those of dim
// being 1: (batch, head, row) of q, k, v and out; (batch, head, row, column) of mask; (batch, head, row) of grad_out, grad_q, grad_k
// and grad_v. With CAUSAL, query i sees keys 0 to i.
//
// `scalars` is double[5]: scale, dropout probability p in [0, 1), low and high half of the Philox key, counter. Probability (row, j),
// where row counts (batch, head, query), is kept where the uniform number of lane j % 4 of counter block
// `counter` + row * ceil(k_len / 4) + j / 4 is at least p, and then divided by 1 - p.
AX_OP int32_t ax_attention_forward(int32_t dtype, const void* operands, const void* shape, const void* scalars);
// Gradients of q, k and v, from that of the output and what the forward call left in out and lse.
AX_OP int32_t ax_attention_backward(int32_t dtype, const void* operands, const void* shape, const void* scalars);

// ---------------------------------------------------------------------------------------------------------------------
// Convolution, pooling and batch normalisation
// ---------------------------------------------------------------------------------------------------------------------

// Convolution (cross-correlation) of x (batch, in_channels, in_height, in_width) with weight (out_channels, in_channels / groups,
// kernel_height, kernel_width). `geometry` is int32: batch, in_channels, in_height, in_width, out_channels, out_height, out_width,
// kernel_height, kernel_width, stride_height, stride_width, padding_top, padding_left, dilation_height, dilation_width, groups; the
// paddings below and on the right follow from the sizes. All operands contiguous. float32, float64; bfloat16 and float16 are
// computed in float32.
// out = convolution + bias (out_channels; id 0: none), then ReLU if `relu` is 1.
AX_OP int32_t ax_convolution_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, uint32_t weight,
                                     double weight_offset, uint32_t bias, double bias_offset, const void* geometry, int32_t relu);

// out (like x) = d sum(gradient * convolution) / d x. `mask` (id 0: none) is the output of a fused ReLU: gradient counts where mask > 0.
AX_OP int32_t ax_convolution_input_gradient(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                                            uint32_t mask, double mask_offset, uint32_t weight, double weight_offset,
                                            const void* geometry);

// out (like weight) = d sum(gradient * convolution) / d weight + beta * out; bias_out (out_channels; id 0: not wanted) = the same for
// the bias with bias_beta. `mask` as above. Sums are parted by the number of threads, and added in a fixed order.
AX_OP int32_t ax_convolution_weight_gradient(int32_t dtype, uint32_t out, double out_offset, uint32_t bias_out,
                                             double bias_out_offset, uint32_t gradient, double gradient_offset, uint32_t mask,
                                             double mask_offset, uint32_t x, double x_offset, const void* geometry, double beta,
                                             double bias_beta);

enum { AX_POOL_ADAPTIVE = 1, AX_POOL_INCLUDE_PADDING = 2 };

// Pooling of planes. `geometry` is int32: planes, in_height, in_width, out_height, out_width, kernel_height, kernel_width,
// stride_height, stride_width, padding_height, padding_width, dilation_height, dilation_width, flags, divisor. All operands contiguous.
// float32, float64; bfloat16 and float16 are computed in float32.
// out = maximum of each window; indices (int32) = its position in the plane. Padding never wins; NaN does, the last of a window.
AX_OP int32_t ax_max_pool_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t indices, double indices_offset,
                                  uint32_t x, double x_offset, const void* geometry);
// out (like x) = the gradients of the windows, each at its index.
AX_OP int32_t ax_max_pool_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                                   uint32_t indices, double indices_offset, const void* geometry);

// out = sum of each window / divisor; a divisor of 0 stands for the window's size, with AX_POOL_INCLUDE_PADDING with its padding. No
// dilation. With AX_POOL_ADAPTIVE window o of an axis is [floor(o in / out), ceil((o + 1) in / out)).
AX_OP int32_t ax_average_pool_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset,
                                      const void* geometry);
// out (like x) = the gradients of the windows, divided and spread over them.
AX_OP int32_t ax_average_pool_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t gradient, double gradient_offset,
                                       const void* geometry);

// Batch normalisation of x (batch, channels, pixels), then ReLU if wanted: (x - mean) * rsqrt(variance + eps) * weight + bias for each
// channel. `settings` is double[9]: batch, channels, pixels, is_training, relu, momentum, eps, beta of weight_out, beta of bias_out.
// Training uses the mean and the biased variance of the batch, and moves running_mean and running_var (unbiased) towards them by
// `momentum`; otherwise those two are used. `statistics` (2, channels) receives mean and rsqrt(variance + eps). Ids 0: no weight, bias
// or running statistics. float32, float64; for bfloat16 and float16 everything but `statistics`, which is float32, has that dtype.
AX_OP int32_t ax_batch_norm_forward(int32_t dtype, uint32_t out, double out_offset, uint32_t statistics, uint32_t running_mean,
                                    double running_mean_offset, uint32_t running_var, double running_var_offset, uint32_t x,
                                    double x_offset, uint32_t weight, double weight_offset, uint32_t bias, double bias_offset,
                                    const void* settings);

// Gradients of x, weight and bias; an output of id 0 is not wanted. `mask` (id 0: none; offset 0) is the output of a fused ReLU; with it
// `out` must be there.
AX_OP int32_t ax_batch_norm_backward(int32_t dtype, uint32_t out, double out_offset, uint32_t weight_out, double weight_out_offset,
                                     uint32_t bias_out, double bias_out_offset, uint32_t gradient, double gradient_offset,
                                     uint32_t x, double x_offset, uint32_t mask, uint32_t weight, double weight_offset,
                                     uint32_t statistics, const void* settings);

// ---------------------------------------------------------------------------------------------------------------------
// Optimizers over flat ranges (contiguous; float32, float64, bfloat16, float16: the 16-bit ones are computed in float32)
// ---------------------------------------------------------------------------------------------------------------------

enum { AX_OPTIMIZER_SGD = 0, AX_OPTIMIZER_ADAM = 1, AX_OPTIMIZER_LION = 2, AX_OPTIMIZER_RMSPROP = 3, AX_OPTIMIZER_ADAGRAD = 4,
       AX_OPTIMIZER_NADAM = 5 };

// Flags: the decay shrinks the parameter (otherwise it is added to the gradient); SGD looks ahead; SGD's momentum begins.
enum { AX_STEP_DECOUPLED_DECAY = 1, AX_STEP_NESTEROV = 2, AX_STEP_FIRST = 4 };

enum { AX_OPTIMIZER_NUMBERS = 10 };

// One step of an optimizer, as torch.optim's single-tensor path computes it; a state that is not used has id 0. All states share
// `state_offset`. `hyper` is double[AX_OPTIMIZER_NUMBERS]: lr, weight_decay, gradient_scale (-1 climbs), and from index 3:
// SGD      states: momentum_buffer or 0.                             momentum, dampening. FIRST sets the buffer to the gradient.
// ADAM     states: exp_avg, exp_avg_sq, max_exp_avg_sq or 0.         beta1, beta2, eps, 1 - beta1^t, 1 - beta2^t.
// LION     states: exp_avg.                                          beta1, beta2.
// RMSPROP  states: square_avg, grad_avg or 0, momentum_buffer or 0.  alpha, eps, momentum.
// ADAGRAD  states: sum.                                              eps; lr is that of this step.
// NADAM    states: exp_avg, exp_avg_sq.                              beta1, beta2, eps, 1 - beta2^t, factor of the gradient, of exp_avg.
AX_OP int32_t ax_optimizer_step(int32_t optimizer, int32_t dtype, uint32_t parameter, double parameter_offset, uint32_t state0,
                                uint32_t state1, uint32_t state2, double state_offset, uint32_t gradient,
                                double gradient_offset, double count, const void* hyper, int32_t flags);

// One step of Adafactor, as torch.optim.Adafactor computes it, on `outer` matrices (rows, cols). row_var is (outer, rows) and
// col_var (outer, cols). A vector is one matrix of one row; col_var has id 0 then, and row_var holds the variance (cols).
// float32, float64. `scratch` holds float64: 2 + outer + 2 * outer * rows + outer * cols. `hyper` is double[8]: lr, weight_decay,
// gradient_scale, 1 - beta2 of this step, relative step size, eps1, eps2, clipping threshold d.
AX_OP int32_t ax_adafactor_step(int32_t dtype, uint32_t parameter, double parameter_offset, uint32_t row_var, uint32_t col_var,
                                uint32_t scratch, uint32_t gradient, double gradient_offset, double outer, double rows,
                                double cols, const void* hyper);

// ---------------------------------------------------------------------------------------------------------------------
// Norms of gradients
// ---------------------------------------------------------------------------------------------------------------------

enum { AX_NORM_BLOCK = 16384 };

// For each block of AX_NORM_BLOCK elements of x (contiguous, the last block may be smaller), out (blocks, float64) = the sum of
// |x|^p for p > 0; for infinity the largest |x|. float32, float64, bfloat16, float16.
AX_OP int32_t ax_norm_blocks(int32_t dtype, uint32_t out, double out_offset, uint32_t x, double x_offset, double count, double p);

// ---------------------------------------------------------------------------------------------------------------------
// Collectives
// ---------------------------------------------------------------------------------------------------------------------

enum { AX_COMM_SUM = 0, AX_COMM_MAX = 1, AX_COMM_MIN = 2 };

// What carries a communicator: shared memory of the host, GPUs that map each other's memory, or NCCL.
enum { AX_COMM_SHM = 0, AX_COMM_IPC = 1, AX_COMM_NCCL = 2 };

enum { AX_NCCL_ID_BYTES = 128 };

// Joins a communicator as `rank` of `world_size`; returns when all have joined. Writes its id (uint32_t). `name` is a POSIX
// shared-memory name without '/', unique to the job and the group, through which the ranks of this machine watch each other; NCCL
// between machines takes an empty one. `nccl_id` is that of ax_nccl_id on one rank, and null for the others. `device` is the GPU's
// index. `timeout_ms` bounds this call and every wait of the collectives; a peer of this machine that dies is noticed within 200 ms.
// No file is left in /dev/shm once all have joined. AX_ERROR_UNSUPPORTED: the GPUs cannot map each other's memory, or there is no NCCL.
AX_NONBLOCKING int32_t ax_comm_create(void* comm, int32_t backend, const char* name, const void* nccl_id, int32_t device, int32_t rank,
                                      int32_t world_size, int32_t timeout_ms, void* error, int32_t error_bytes);

// Leaves the communicator and frees it; peers that still wait for this rank get AX_ERROR_PEER.
AX_API int32_t ax_comm_destroy(uint32_t comm);

// Collectives block the calling thread until they are done, except those of AX_COMM_IPC and AX_COMM_NCCL: these are enqueued, see what
// was enqueued on the device before, and run beside what is enqueued later until ax_comm_finish. Their failure is the status of the
// next call, or of the next that waits for the device.

// In place: values = scale * reduction over all ranks in rank order (bitwise equal on all ranks). float32, float64, int32,
// int64; on GPUs also bfloat16 and float16, which are summed in float32 and rounded once. NCCL sums in an order of its own, scales
// before it sums, and rounds 16-bit sums where it likes.
AX_API int32_t ax_comm_all_reduce(uint32_t comm, int32_t op, int32_t dtype, uint32_t values, double offset, double count,
                                  double scale);

// out (count) = part `rank` of the same reduction of x (world_size, count).
AX_API int32_t ax_comm_reduce_scatter(uint32_t comm, int32_t op, int32_t dtype, uint32_t out, double out_offset, uint32_t x,
                                      double x_offset, double count, double scale);

// values of `root` to all ranks, in place. `bytes` from a byte offset.
AX_API int32_t ax_comm_broadcast(uint32_t comm, uint32_t values, double byte_offset, double bytes, int32_t root);

// out (world_size * bytes) = the `bytes` of each rank, in rank order. The byte count must be the same on all ranks.
AX_API int32_t ax_comm_all_gather(uint32_t comm, uint32_t out, double out_byte_offset, uint32_t x, double x_byte_offset,
                                  double bytes);

// Returns when all ranks have called it. Blocks the calling thread in every backend.
AX_API int32_t ax_comm_barrier(uint32_t comm);

// What is enqueued on the device from now on sees the results of all collectives called before.
AX_API int32_t ax_comm_finish(uint32_t comm);

// Waits on another thread until all ranks have entered their next collective: call it before a collective whose peers may be
// late, so that the calling thread stays free; the collective itself then does not wait long.
AX_NONBLOCKING int32_t ax_comm_wait(uint32_t comm, void* error, int32_t error_bytes);

// Writes 1 (int32_t) when all ranks have entered their next collective, 0 otherwise. Announces this rank's arrival.
AX_API int32_t ax_comm_poll(void* ready, uint32_t comm);

// Writes the rank (int32_t) that the last AX_ERROR_PEER, AX_ERROR_TIMEOUT or AX_ERROR_MISMATCH of this communicator is about,
// or -1. comm 0: the last failure of any, as of ax_comm_create or of a call that waited for the device.
AX_API int32_t ax_comm_failed_rank(void* rank, uint32_t comm);

// Writes the version of NCCL (int32_t), for example 23007 for 2.30.7, or 0 when there is none that can be used; what to do about it is
// then the sentence of ax_last_error().
AX_API int32_t ax_nccl_version(void* version);

// Writes a new id of AX_NCCL_ID_BYTES for ax_comm_create.
AX_API int32_t ax_nccl_id(void* id);

// Writes lines `key=value` of a GPU, which the ranks of a job compare: gpu, capability, driver, runtime and bus.
AX_API int32_t ax_comm_describe(void* text, int32_t bytes, int32_t device);

#endif  // ACCELERATE_H_
