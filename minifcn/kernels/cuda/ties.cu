// ties.cu: equals share. Which x are as good as the best, and what falls to each of them.
//
//   mark    y = g where x equals best, else 0; g = 1 if there is none; nan equals nan
//   share   y = g / count where x equals best, else 0
//
// x, best, g, count and y are views of one shape: what belongs to a whole line of x is repeated by
// strides of 0. A thread owns one element.
// Launch  ceil(n / 256) blocks of 256 threads
// Bytes   every input read once, y written once
// REAL, MARK  the types of x and best, and of g and y; counts are double, exact in any case
// Builds  REAL=floating MARK=REAL|double
#include "common.cuh"

__device__ __forceinline__ bool equal(REAL x, REAL best) {
  return wide(x) == wide(best) || (wide(x) != wide(x) && wide(best) != wide(best));
}

extern "C" __global__ void mark(
    const REAL* x, const __grid_constant__ View own, const REAL* best, const __grid_constant__ View line_,
    const MARK* g, const __grid_constant__ View given, MARK* y, const __grid_constant__ View to, int64 n) {
  int64 i = line();
  if (i >= n) return;
  bool same = equal(x[place(own, i)], best[place(line_, i)]);
  y[place(to, i)] = !same ? narrow<MARK>(0) : g ? g[place(given, i)] : narrow<MARK>(1);
}

extern "C" __global__ void share(
    const REAL* x, const __grid_constant__ View own, const REAL* best, const __grid_constant__ View line_,
    const MARK* g, const __grid_constant__ View given, const double* count,
    const __grid_constant__ View counted, MARK* y, const __grid_constant__ View to, int64 n) {
  int64 i = line();
  if (i >= n) return;
  bool same = equal(x[place(own, i)], best[place(line_, i)]);
  typedef WideOf<MARK>::type Wide;
  y[place(to, i)] = narrow<MARK>(same ? wide(g[place(given, i)]) / (Wide)count[place(counted, i)] : Wide(0));
}
