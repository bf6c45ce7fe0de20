// cast.cu: the same numbers in another type.
//
//   y[i] = x[i], rounded to nearest even, double to half by way of float, as PyTorch rounds; a number
//   too large for a half is infinite
//
// A thread owns PACK neighbouring elements, 16 bytes of the larger type: one load and one store where
// both addresses allow.
//
//   cast    one array
//   casts   p = g for many: a block owns a part of one of them (group.cuh)
//
// Launch  cast: ceil(n / (256 PACK)) blocks of 256 threads; casts: see group.cuh
// Bytes   x read once, y written once
// FROM, REAL  the types of x and of y
// Builds  FROM=floating|integer REAL=floating|integer
#include "common.cuh"
#include "group.cuh"

constexpr int PACK = 16 / (sizeof(FROM) > sizeof(REAL) ? sizeof(FROM) : sizeof(REAL));
struct alignas(PACK * sizeof(FROM)) Source { FROM at[PACK]; };
struct alignas(PACK * sizeof(REAL)) Made { REAL at[PACK]; };

__device__ __forceinline__ bool fits(const FROM* x, const REAL* y) {
  return (uint64)x % sizeof(Source) == 0 && (uint64)y % sizeof(Made) == 0;
}

// Elements i .. i + PACK - 1, of those before `stop`.
__device__ __forceinline__ void convert(const FROM* x, REAL* y, int64 i, int64 stop, bool whole) {
  if (whole && i + PACK <= stop) {
    Source from = *(const Source*)(x + i);
    Made to;
#pragma unroll
    for (int k = 0; k < PACK; k++) to.at[k] = narrow<REAL>(wide(from.at[k]));
    *(Made*)(y + i) = to;
    return;
  }
  for (int64 e = i; e < i + PACK && e < stop; e++) y[e] = narrow<REAL>(wide(x[e]));
}

extern "C" __global__ void cast(const FROM* x, REAL* y, int64 n) {
  convert(x, y, line() * PACK, n, fits(x, y));
}

extern "C" __global__ void casts(const __grid_constant__ Group group) {
  Part own = own_part(group);
  const FROM* x = (const FROM*)group.g[own.k];
  REAL* y = (REAL*)group.p[own.k];
  bool whole = fits(x, y);
  for (int64 i = own.first + threadIdx.x * PACK; i < own.stop; i += 256 * PACK) convert(x, y, i, own.stop, whole);
}
