// cast.cu: the same numbers in another type.
//
//   y[i] = x[i], rounded to nearest even; a number too large for a half is infinite
//
// A thread owns one element.
// Launch  ceil(n / 256) blocks of 256 threads
// Bytes   x read once, y written once
// FROM, REAL  the types of x and of y
// Builds  FROM=floating|integer REAL=floating|integer
#include "common.cuh"

extern "C" __global__ void cast(const FROM* x, REAL* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = narrow<REAL>(wide(x[i]));
}
