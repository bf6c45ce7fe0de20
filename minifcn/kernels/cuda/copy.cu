// copy.cu: bring elements from one order in memory into another.
//
//   y[i_0, ..., i_k] = x[i_0, ..., i_k]      for any strides of both
//
// A thread owns one word, and divides its number into the indices of the axes. A word is an element,
// or up to 16 bytes of them where both arrays have whole words side by side.
// Launch  ceil(n / 256) blocks of 256 threads
// Bytes   x read once, y written once, in whole sectors along the axis that is fast in both
// WORD    an unsigned type as wide as a word
// Builds  WORD=uint8|uint16|uint32|uint64|uint128
#include "common.cuh"

extern "C" __global__ void copy(const WORD* x, const __grid_constant__ View from, WORD* y, const __grid_constant__ View to, int64 n) {
  int64 i = line();
  if (i < n) y[place(to, i)] = x[place(from, i)];
}
