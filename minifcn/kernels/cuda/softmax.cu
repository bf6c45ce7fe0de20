// softmax.cu: shares along one axis, and their logarithm.
//
//   softmax      y_a = e^(x_a - top) / total         top = max_a x_a
//   log_softmax  y_a = x_a - top - log total         total = sum_a e^(x_a - top)
//
// 2^shift lanes of a warp own a line of A numbers (lines.cuh), and read it three times: for the largest,
// for the sum, for the result. Only the first time it comes from memory, unless A is very large.
//
// Launch  ceil(lines 2^shift / 256) blocks of 256 threads
// Bytes   x read, y written
// REAL    elements; WIDE: what is computed in
// Builds  REAL=float|half16|bfloat16 WIDE=float
// Builds  REAL=double WIDE=double
#include "lines.cuh"

extern "C" __global__ void softmax(const REAL* __restrict__ x, REAL* __restrict__ y, int64 lines, int A, int64 inner, int shift) {
  Line at = own_line(lines, A, inner, shift);
  Peak p = peak(x, at, A, inner);
  if (at.outside) return;
  for (int a = at.lane; a < A; a += at.lanes) {
    int64 i = at.start + a * inner;
    y[i] = narrow<REAL>(exp_of(wide(x[i]) - p.top) / p.total);
  }
}

extern "C" __global__ void log_softmax(const REAL* __restrict__ x, REAL* __restrict__ y, int64 lines, int A, int64 inner, int shift) {
  Line at = own_line(lines, A, inner, shift);
  Peak p = peak(x, at, A, inner);
  if (at.outside) return;
  WIDE log_total = log_of(p.total);
  for (int a = at.lane; a < A; a += at.lanes) {
    int64 i = at.start + a * inner;
    y[i] = narrow<REAL>(wide(x[i]) - p.top - log_total);
  }
}
