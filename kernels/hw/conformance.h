// Checks that the primitives of this folder do what their comments say: on an emulated GPU in every test run, on a real one to prove that
// the emulated twin is true.
#ifndef AX_HW_CONFORMANCE_H_
#define AX_HW_CONFORMANCE_H_
#include <vector>

namespace hw {

struct ConformanceCheck {
  const char* primitive;
  int (*countFailures)();  // wrong results; at least 1 when the GPU reports an error
};

// Primitives of sm_80, and those of sm_90a.
const std::vector<ConformanceCheck>& conformanceChecks();
const std::vector<ConformanceCheck>& hopperChecks();

}  // namespace hw
#endif  // AX_HW_CONFORMANCE_H_
