// The loops of the backend that is being compiled. Both headers offer the same:
//
// - forEach<1>(count, layout, body): body(At<1>) for every element; layout.ndim must be 0. Strided operands: see common/map.h.
// - forEachRow(rows, row_elements, body): body(team, row) for every row. A team shares the row: team.each(count, f) calls f(i),
//   team.sum<T>(count, f) and team.max<T>(count, lowest, f) combine f(i), where max passes over NaN; team.isFirst() is true for the
//   one member that writes results. A team is one thread on the CPU and a block on a GPU. Always the same member gets an
//   i, in each() and in one(i, f), which calls f(i) alone.
// - forEachRow<T>(rows, row_elements, cols, slots, body): the same where the body computes rows of T in Compute<T>:
//   team.input(row, cols, slot) gives something to index, team.output(row, slot) something to assign to, and team.store(row, output,
//   cols) ends an output. Slots, below `slots`, are for rows of `cols` elements that are in use at the same time.
// - forEachColumns(outer, size, inner, body): body(o, first, width) for blocks of at most kColumnBlock columns of (outer, size, inner).
// - sumInto<T>(out, count, scale, f): *out = scale * sum of f(i).
// - forEachLine(lines, elements, body): body(line) for lines that are walked by one thread each.
// - forEachSpan(outer, inner, body): body(o, begin, end) for spans that cover [0, inner) of every o.
// - checkIndices(index, count, limit, ignored): AX_ERROR_INDEX for a value outside [0, limit) that is not `ignored`; on a GPU the next
//   synchronisation reports it, so bodies must not follow such an index.
#ifndef AX_COMMON_BACKEND_H_
#define AX_COMMON_BACKEND_H_
#ifdef AX_CUDA
#include "cuda/backend.cuh"
#else
#include "cpu/backend.h"
#endif
#endif  // AX_COMMON_BACKEND_H_
