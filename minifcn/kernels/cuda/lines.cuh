// lines.cuh: an array as lines of A numbers along one axis, and sums along them.
//
// Element a of line l lies at  (l / inner) A inner + l mod inner + a inner.  2^shift neighbouring lanes
// share a line: lane k takes the elements k, k + 2^shift, ...; then the lanes tell each other. With
// inner = 1 a group reads neighbours in memory; with inner > 1 the host gives shift 0, and it is the
// threads of neighbouring lines that do.
//
// WIDE    what is computed in
#pragma once
#include "common.cuh"

__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ double exp_of(double x) { return exp(x); }
__device__ __forceinline__ float log_of(float x) { return logf(x); }
__device__ __forceinline__ double log_of(double x) { return log(x); }

constexpr unsigned ALL = 0xffffffffu;

struct Line { int64 number, start; int lane, lanes; bool outside; };

// The line of this thread. One beyond the last gets the last: its lanes go along, and write nothing.
__device__ __forceinline__ Line own_line(int64 lines, int A, int64 inner, int shift) {
  int64 number = line() >> shift;
  bool outside = number >= lines;
  if (outside) number = lines - 1;
  int64 block = inner == 1 ? number : number / inner;
  int lanes = 1 << shift;
  return {number, block * A * inner + (number - block * inner), (int)(threadIdx.x & (lanes - 1)), lanes, outside};
}

// The sum of v over the lanes of a line, the same bits in every lane.
template <class V> __device__ __forceinline__ V line_sum(V v, int lanes) {
  for (int step = lanes / 2; step > 0; step /= 2) v += __shfl_xor_sync(ALL, v, step);
  return v;
}

// The larger of two; a nan wins.
template <class V> __device__ __forceinline__ V larger(V a, V b) { return a > b || a != a ? a : b; }

// max_a x[a] and sum_a e^(x[a] - max)
struct Peak { WIDE top, total; };

__device__ __forceinline__ Peak peak(const REAL* x, const Line& at, int A, int64 inner) {
  WIDE top = -(WIDE)__int_as_float(0x7f800000), total = 0;  // -infinity
  for (int a = at.lane; a < A; a += at.lanes) top = larger(wide(x[at.start + a * inner]), top);
  for (int step = at.lanes / 2; step > 0; step /= 2) top = larger(top, __shfl_xor_sync(ALL, top, step));
  for (int a = at.lane; a < A; a += at.lanes) total += exp_of(wide(x[at.start + a * inner]) - top);
  return {top, line_sum(total, at.lanes)};
}
