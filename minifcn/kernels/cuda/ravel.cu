// ravel.cu: the indices of several axes as one flat index of the axes merged.
//
//   flat[i] = flat[i] size + index[i], a negative index counted from the end; axis after axis
//
// A thread owns one element. The first axis finds flat full of zeros.
// Launch  ceil(n / 256) blocks of 256 threads per axis
// Bytes   index once; flat read and written
// LABEL   the type of the index
// Builds  LABEL=integer
#include "common.cuh"

extern "C" __global__ void ravel(const LABEL* index, int64 size, bool first, int64* flat, int64 n) {
  int64 i = line();
  if (i >= n) return;
  int64 own = (int64)index[i];
  flat[i] = (first ? 0 : flat[i] * size) + (own < 0 ? own + size : own);
}
