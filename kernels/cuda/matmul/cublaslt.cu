// The C interface of cuBLASLt is declared here, as far as it is used: the library is never linked, and its headers are not needed.
#include "cuda/matmul/cublaslt.h"

#include <stdlib.h>
#include <string.h>

#include "common/status.h"

namespace ax {

int32_t chooseLibrary(bool* by_cublaslt) {
  static const char* const text = getenv("ACCELERATE_MATMUL");
  *by_cublaslt = false;
  if (text == nullptr || *text == '\0' || strcmp(text, "own") == 0) return AX_OK;
  if (strcmp(text, "cublaslt") != 0) return fail(AX_ERROR_ARGUMENT, "ACCELERATE_MATMUL must be own or cublaslt, got %s", text);
  *by_cublaslt = true;
  return AX_OK;
}

}  // namespace ax

#ifdef AX_EMULATED

namespace ax {
int32_t enqueueByCublasLt(CublasLtProduct*, size_t) { return fail(AX_ERROR_UNSUPPORTED, "cuBLASLt cannot be used on an emulated GPU"); }
}  // namespace ax

#else

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "cuda/dynamic_library.h"
#include "cuda/runtime.h"
#include "cuda/scratch.h"

namespace ax {
namespace {

// Values of cublasLt.h, cublas_api.h and library_types.h.
enum DataType { kReal32 = 0, kReal64 = 1, kReal16 = 2, kRealBfloat16 = 14 };
enum ComputeKind { kCompute32 = 68, kCompute64 = 70, kComputeTf32 = 77 };
enum DescriptionAttribute { kTransposeA = 3, kTransposeB = 4 };
enum LayoutAttribute { kBatchCount = 5, kBatchStride = 6 };
enum PreferenceAttribute { kMaxWorkspace = 1, kAlignmentA = 5, kAlignmentB = 6, kAlignmentC = 7, kAlignmentD = 8 };

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

using Handle = void*;
using Description = void*;
using MatrixLayout = void*;
using Preference = void*;

struct CublasLt {
  int (*create)(Handle*);
  int (*createDescription)(Description*, int compute, int scale);
  int (*setDescription)(Description, int attribute, const void* value, size_t bytes);
  int (*createLayout)(MatrixLayout*, int type, uint64_t rows, uint64_t cols, int64_t ld);
  int (*setLayout)(MatrixLayout, int attribute, const void* value, size_t bytes);
  int (*createPreference)(Preference*);
  int (*setPreference)(Preference, int attribute, const void* value, size_t bytes);
  int (*destroyPreference)(Preference);
  int (*getHeuristic)(Handle, Description, MatrixLayout a, MatrixLayout b, MatrixLayout c, MatrixLayout d, Preference, int wanted, Heuristic*,
                      int* found);
  int (*multiply)(Handle, Description, const void* alpha, const void* a, MatrixLayout, const void* b, MatrixLayout, const void* beta, const void* c,
                  MatrixLayout, void* d, MatrixLayout, const Algorithm*, void* workspace, size_t workspace_bytes, cudaStream_t);
  std::string why;  // it is not there; empty when it is
};

CublasLt load() {
  CublasLt lt = {};
  std::string why_not_13, why_not_12;
  void* library = openLibrary("ACCELERATE_CUBLASLT_LIBRARY", "libcublasLt.so.13", "cu13", &why_not_13);
  if (library == nullptr) library = openLibrary("ACCELERATE_CUBLASLT_LIBRARY", "libcublasLt.so.12", "cublas", &why_not_12);
  if (library == nullptr) {
    lt.why = why_not_13 + "; " + why_not_12;
    return lt;
  }
  const auto find = [&](const char* name, auto* function) {
    void* const symbol = dlsym(library, name);
    if (symbol == nullptr) lt.why = std::string("cuBLASLt has no function ") + name;
    *function = reinterpret_cast<std::decay_t<decltype(*function)>>(symbol);
  };
  find("cublasLtCreate", &lt.create);
  find("cublasLtMatmulDescCreate", &lt.createDescription);
  find("cublasLtMatmulDescSetAttribute", &lt.setDescription);
  find("cublasLtMatrixLayoutCreate", &lt.createLayout);
  find("cublasLtMatrixLayoutSetAttribute", &lt.setLayout);
  find("cublasLtMatmulPreferenceCreate", &lt.createPreference);
  find("cublasLtMatmulPreferenceSetAttribute", &lt.setPreference);
  find("cublasLtMatmulPreferenceDestroy", &lt.destroyPreference);
  find("cublasLtMatmulAlgoGetHeuristic", &lt.getHeuristic);
  find("cublasLtMatmul", &lt.multiply);
  return lt;
}

const CublasLt& cublasLt() {
  static const CublasLt* const lt = new CublasLt(load());
  return *lt;
}

int32_t checkLt(int status, const char* action) {
  return status == 0 ? AX_OK : fail(AX_ERROR_DEVICE, "cannot %s by cuBLASLt: status %d", action, status);
}

DataType typeOf(int32_t dtype) {
  switch (dtype) {
    case AX_FLOAT64: return kReal64;
    case AX_BFLOAT16: return kRealBfloat16;
    case AX_FLOAT16: return kReal16;
    default: return kReal32;
  }
}

// The largest power of 2 up to 256 that divides an address.
uint32_t alignmentOf(const void* address) {
  const auto value = reinterpret_cast<uintptr_t>(address) | 256;
  return static_cast<uint32_t>(value & (~value + 1));
}

// What is decided once for all products of the same kind. Kept until the process ends.
struct Prepared {
  Description description = nullptr;
  MatrixLayout a = nullptr, b = nullptr, out = nullptr;
  Heuristic heuristic = {};
};

int32_t makeLayout(const CublasLt& lt, MatrixLayout* layout, int32_t dtype, int32_t rows, int32_t cols, int32_t ld, int32_t batch, int64_t stride) {
  AX_TRY(checkLt(lt.createLayout(layout, typeOf(dtype), static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), ld), "describe a matrix"));
  AX_TRY(checkLt(lt.setLayout(*layout, kBatchCount, &batch, sizeof batch), "describe a batch"));
  return checkLt(lt.setLayout(*layout, kBatchStride, &stride, sizeof stride), "describe a batch");
}

// cuBLASLt's matrices are column-major, so a row-major product is that of the operands in the other order: out^T = b^T a^T.
int32_t prepare(const CublasLt& lt, Handle handle, const CublasLtProduct& product, Prepared* prepared) {
  const ProductShape& s = product.s;
  const bool is_double = product.dtype == AX_FLOAT64, is_tf32 = product.dtype == AX_FLOAT32 && s.allow_tf32 != 0;
  const ComputeKind compute = is_double ? kCompute64 : is_tf32 ? kComputeTf32 : kCompute32;
  AX_TRY(checkLt(lt.createDescription(&prepared->description, compute, is_double ? kReal64 : kReal32), "describe a product"));
  AX_TRY(checkLt(lt.setDescription(prepared->description, kTransposeA, &s.transpose_b, sizeof s.transpose_b), "describe a product"));
  AX_TRY(checkLt(lt.setDescription(prepared->description, kTransposeB, &s.transpose_a, sizeof s.transpose_a), "describe a product"));
  AX_TRY(makeLayout(lt, &prepared->b, product.dtype, s.transpose_b ? s.k : s.n, s.transpose_b ? s.n : s.k, s.ldb, s.batch, s.batch_b));
  AX_TRY(makeLayout(lt, &prepared->a, product.dtype, s.transpose_a ? s.m : s.k, s.transpose_a ? s.k : s.m, s.lda, s.batch, s.batch_a));
  AX_TRY(makeLayout(lt, &prepared->out, product.out_dtype, s.n, s.m, s.ldc, s.batch, s.batch_out));
  Preference preference = nullptr;
  AX_TRY(checkLt(lt.createPreference(&preference), "choose an algorithm"));
  const uint64_t workspace_bytes = 32 << 20;  // what NVIDIA recommends for Hopper
  const uint32_t of_a = alignmentOf(product.a), of_b = alignmentOf(product.b), of_out = alignmentOf(product.out);
  lt.setPreference(preference, kMaxWorkspace, &workspace_bytes, sizeof workspace_bytes);
  lt.setPreference(preference, kAlignmentA, &of_b, sizeof of_b);
  lt.setPreference(preference, kAlignmentB, &of_a, sizeof of_a);
  lt.setPreference(preference, kAlignmentC, &of_out, sizeof of_out);
  lt.setPreference(preference, kAlignmentD, &of_out, sizeof of_out);
  int found = 0;
  const int status = lt.getHeuristic(handle, prepared->description, prepared->b, prepared->a, prepared->out, prepared->out, preference, 1,
                                     &prepared->heuristic, &found);
  lt.destroyPreference(preference);
  if (status == 0 && found == 0) return fail(AX_ERROR_UNSUPPORTED, "cuBLASLt has no algorithm for this product");
  return checkLt(status, "choose an algorithm");
}

}  // namespace

int32_t enqueueByCublasLt(CublasLtProduct* given, size_t out_bytes) {
  CublasLtProduct& product = *given;
  const CublasLt& lt = cublasLt();
  if (!lt.why.empty()) return fail(AX_ERROR_UNSUPPORTED, "ACCELERATE_MATMUL=cublaslt: %s", lt.why.c_str());
  const ProductShape& s = product.s;
  int device = 0;
  AX_TRY(checkCuda(cudaGetDevice(&device), "ask for the device"));
  cudaStream_t stream;
  AX_TRY(computeStream(&stream));

  const auto key = std::make_tuple(std::make_tuple(device, product.dtype, product.out_dtype, s.allow_tf32, s.batch, s.m, s.n, s.k),
                                   std::make_tuple(s.transpose_a, s.transpose_b, s.lda, s.ldb, s.ldc, s.batch_a, s.batch_b, s.batch_out),
                                   std::make_tuple(alignmentOf(product.a), alignmentOf(product.b), alignmentOf(product.out)));
  static std::mutex* const lock = new std::mutex;
  static auto* const handles = new std::map<int, Handle>;
  static auto* const known = new std::map<std::decay_t<decltype(key)>, Prepared>;
  const std::lock_guard<std::mutex> guard(*lock);
  Handle& handle = (*handles)[device];
  if (handle == nullptr) AX_TRY(checkLt(lt.create(&handle), "start"));
  Prepared& prepared = (*known)[key];
  if (prepared.description == nullptr) {
    Prepared fresh;
    AX_TRY(prepare(lt, handle, product, &fresh));
    prepared = fresh;
  }

  void* workspace = nullptr;
  const size_t workspace_bytes = (prepared.heuristic.workspace_bytes + 255) / 256 * 256;
  if (workspace_bytes + out_bytes > 0) AX_TRY(scratch(workspace_bytes + out_bytes, &workspace));
  if (product.out == nullptr) product.out = static_cast<char*>(workspace) + workspace_bytes;
  const float alpha32 = static_cast<float>(product.alpha), beta32 = static_cast<float>(product.beta);
  const bool is_double = product.dtype == AX_FLOAT64;
  const void* const alpha = is_double ? static_cast<const void*>(&product.alpha) : &alpha32;
  const void* const beta = is_double ? static_cast<const void*>(&product.beta) : &beta32;
  return checkLt(lt.multiply(handle, prepared.description, alpha, product.b, prepared.b, product.a, prepared.a, beta, product.out, prepared.out,
                             product.out, prepared.out, &prepared.heuristic.algorithm, workspace, prepared.heuristic.workspace_bytes, stream),
                 "multiply");
}

}  // namespace ax

#endif  // AX_EMULATED
