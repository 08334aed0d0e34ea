// The loops of the backend that is being compiled. Both headers offer the same:
//
// - forEach<N>(count, layout, body): body(At<N>) for every element; layout.ndim 0 means contiguous.
// - forEachRow(rows, body): body(team, row) for every row. A team shares the row: team.each(count, f) calls f(i),
//   team.sum<T>(count, f) and team.max<T>(count, f) combine f(i); team.isFirst() is true for the one member that writes results.
//   A team is one thread on the CPU and a block on a GPU.
// - forEachLine(lines, elements, body): body(line) for lines that are walked by one thread each.
// - forEachSpan(outer, inner, body): body(o, begin, end) for spans that cover [0, inner) of every o.
// - checkIndices(index, count, limit, ignored): AX_ERROR_INDEX for a value outside [0, limit) that is not `ignored`; on a GPU the next
//   synchronisation reports it, so bodies must not follow such an index.
#ifndef AX_COMMON_BACKEND_H_
#define AX_COMMON_BACKEND_H_
#ifdef __CUDACC__
#include "cuda/backend.cuh"
#else
#include "cpu/backend.h"
#endif
#endif  // AX_COMMON_BACKEND_H_
