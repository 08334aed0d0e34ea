// Mistakes on purpose: leaves out one synchronisation of a kernel, so that a test can see whether anybody notices.
//
// A site is a call of a synchronising primitive in the machine code of a kernel: `operation@offset` from where the library or program is
// loaded. ACCELERATE_EMULATOR_SITES names a file to which every site is written when it is first reached; ACCELERATE_EMULATOR_DROP names
// the site that does nothing from then on.
#ifndef AX_HW_EMULATOR_MUTATION_H_
#define AX_HW_EMULATOR_MUTATION_H_

namespace hw::emulator {

extern const bool kHasMutation;  // whether one of the variables is set

// Whether the call of `operation` at the place that calls this function is to be left out.
bool isDroppedSite(const char* operation);

inline __attribute__((always_inline)) bool isDropped(const char* operation) { return kHasMutation && isDroppedSite(operation); }

}  // namespace hw::emulator

#endif  // AX_HW_EMULATOR_MUTATION_H_
