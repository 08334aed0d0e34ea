// Calls whose numbers change from step to step: an optimizer's learning rate, the position in the stream of random numbers. Where a training
// step is recorded and replayed (ax_graph_begin), such a call gets the numbers of the replay. Elsewhere, these functions only make the call.
//
// - withNumbers(numbers, count, call): call(numbers) for `count` doubles, which ax_graph_replay gives anew. `call` keeps copies of all else.
// - withRandom(key, call): call(key), the key and counter of the Philox generator.
#ifndef AX_COMMON_LIVE_H_
#define AX_COMMON_LIVE_H_
#include <stdint.h>

#ifdef AX_CUDA
#include <functional>
#endif

namespace ax {

struct RandomKey {
  uint32_t seed_low, seed_high;
  double counter;
};

#ifdef AX_CUDA
bool isRecording();
int32_t recordNumbers(const double* numbers, int32_t count, std::function<int32_t(const double*)> call);
int32_t recordRandom(const RandomKey& key, std::function<int32_t(const RandomKey&)> call);
#endif

template <class Call>
int32_t withNumbers(const double* numbers, [[maybe_unused]] int32_t count, const Call& call) {
#ifdef AX_CUDA
  if (isRecording()) return recordNumbers(numbers, count, call);
#endif
  return call(numbers);
}

template <class Call>
int32_t withRandom(const RandomKey& key, const Call& call) {
#ifdef AX_CUDA
  if (isRecording()) return recordRandom(key, call);
#endif
  return call(key);
}

}  // namespace ax

#endif  // AX_COMMON_LIVE_H_
