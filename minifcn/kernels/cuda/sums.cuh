// sums.cuh: a sum that keeps its digits: runs of 32 in the element's width, the runs in TOTAL.
//
// TOTAL  double for fractions, int64 or uint64 for whole numbers
#pragma once

// Halves and floats add up in float for a short while; whole numbers at once in TOTAL.
template <class X> struct RunOf { typedef TOTAL type; };
template <> struct RunOf<half16> { typedef float type; };
template <> struct RunOf<bfloat16> { typedef float type; };
template <> struct RunOf<float> { typedef float type; };

template <class X> struct Sum {
  typename RunOf<X>::type run = 0;
  TOTAL total = 0;
  int count = 0;
  __device__ __forceinline__ void add(X x) {
    run += (typename RunOf<X>::type)wide(x);
    if (++count == 32) close();
  }
  __device__ __forceinline__ TOTAL close() {
    total += (TOTAL)run;
    run = 0;
    count = 0;
    return total;
  }
};
