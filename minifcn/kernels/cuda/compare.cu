// compare.cu: bools from two arrays, or from an array and a number.
//
//   y[i] = [a[i] ? b[i]], ? one of < <= > >= = /=     a, b and the comparison in MEET
//
// nan is unlike everything, itself too. A thread owns one element.
// Launch  ceil(n / 256) blocks of 256 threads
// Bytes   inputs read once, y written once
// REAL, MEET  the type of the arrays, and the one in which it meets the number
// Builds  REAL=floating MEET=double
// Builds  REAL=int64|int32|int16|int8|bool MEET=int64|double
// Builds  REAL=uint8|uint16|uint32|uint64 MEET=uint64|double
#include "common.cuh"

enum Relation { LT, LE, GT, GE, EQ, NE };

template <class X> __device__ __forceinline__ bool holds(int relation, X a, X b) {
  switch (relation) {
    case LT: return a < b;
    case LE: return a <= b;
    case GT: return a > b;
    case GE: return a >= b;
    case EQ: return a == b;
    default: return a != b;
  }
}

extern "C" __global__ void compare(const REAL* a, const REAL* b, int32 relation, bool* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = holds(relation, wide(a[i]), wide(b[i]));
}

extern "C" __global__ void compare_number(const REAL* a, MEET number, int32 relation, bool* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = holds(relation, (MEET)wide(a[i]), number);
}
