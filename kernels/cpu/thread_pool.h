// The CPU library's threads. parallelFor() splits a range among them; they start with the first call that needs them.
#ifndef AX_CPU_THREAD_POOL_H_
#define AX_CPU_THREAD_POOL_H_
#include <stdint.h>

namespace ax {

// How many threads an operation may use, the calling one included.
int threadCount();

// Calls run(context, part) for each part in [0, parts), part 0 on the calling thread, and returns when all are done. Calls from
// inside a part, and calls while another thread uses the pool, run all parts on the calling thread.
void runParts(void (*run)(const void* context, int part), const void* context, int parts);

// Calls body(begin, end) for contiguous parts of [0, count): at most threadCount() of them, each of at least `grain`. Where the
// cuts lie depends only on the count, the grain and the number of threads.
template <class Body>
void parallelFor(int64_t count, int64_t grain, const Body& body) {
  if (count <= 0) return;
  int64_t parts = threadCount();
  if (parts > 1) {
    const int64_t useful = grain > 1 ? count / grain : count;
    if (useful < parts) parts = useful;
  }
  if (parts <= 1) {
    body(int64_t{0}, count);
    return;
  }
  struct Split {
    const Body& body;
    int64_t count, parts;
  } split{body, count, parts};
  runParts(
      [](const void* context, int part) {
        const Split& s = *static_cast<const Split*>(context);
        const int64_t size = s.count / s.parts, rest = s.count % s.parts;
        const int64_t begin = part * size + (part < rest ? part : rest);
        s.body(begin, begin + size + (part < rest ? 1 : 0));
      },
      &split, static_cast<int>(parts));
}

}  // namespace ax

#endif  // AX_CPU_THREAD_POOL_H_
