// gather.cu: read elements at places that an index array names along one axis.
//
//   x lies [A, R, B] in memory, y [A, J, B]
//
//   take         y[a, j, b] = x[a, index[j], b]
//   take_along   y[a, j, b] = x[a, index[a, j, b], b]
//
// A negative index counts from the end. Callers check the range; beyond it a 0 is read, not memory.
// A thread owns one element of y; where B is wide, a warp reads whole sectors of x.
// Launch  ceil(A J B / 256) blocks of 256 threads
// Bytes   index and y once, as many elements of x as of y
// WORD    an unsigned type as wide as an element;   LABEL  the type of the index
// Builds  WORD=uint8|uint16|uint32|uint64 LABEL=int64|int32
#include "common.cuh"

__device__ __forceinline__ WORD at(const WORD* x, int64 a, int64 r, int64 b, int64 R, int64 B) {
  if (r < 0) r += R;
  return 0 <= r && r < R ? x[(a * R + r) * B + b] : WORD(0);
}

extern "C" __global__ void take(const WORD* x, const LABEL* index, WORD* y, int64 A, int64 J, int64 R, int64 B) {
  int64 i = line();
  if (i >= A * J * B) return;
  int64 a = i / (J * B), rest = i - a * J * B, j = rest / B;
  y[i] = at(x, a, (int64)index[j], rest - j * B, R, B);
}

extern "C" __global__ void take_along(const WORD* x, const LABEL* index, WORD* y, int64 A, int64 J, int64 R, int64 B) {
  int64 i = line();
  if (i >= A * J * B) return;
  int64 a = i / (J * B);
  y[i] = at(x, a, (int64)index[i], i % B, R, B);
}
