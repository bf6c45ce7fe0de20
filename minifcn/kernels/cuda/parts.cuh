// parts.cuh: the parts of a long sum, added up in a fixed order.
//
//   w[i] = parts[0, i] + parts[1, i] + ...      i < n, count parts
//
// A block has X numbers and Y threads for each: thread y adds the parts y, y + Y, ..., and the first
// thread the Y sums. Many parts of few numbers would keep few threads busy for long with Y = 1.
// Launch  ceil(n / X) blocks of X x Y = 256 threads
// REAL, WIDE  the type of w, and that of the parts
#pragma once
#include "common.cuh"

__device__ __forceinline__ void add_parts_of(const WIDE* parts, REAL* w, int64 count, int64 n) {
  __shared__ WIDE sums[256];
  int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x;
  WIDE sum = 0;
  if (i < n) {
#pragma unroll 8
    for (int64 part = threadIdx.y; part < count; part += blockDim.y) sum += parts[part * n + i];
  }
  sums[threadIdx.y * blockDim.x + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || i >= n) return;
  for (int y = 1; y < blockDim.y; y++) sum += sums[y * blockDim.x + threadIdx.x];
  w[i] = narrow<REAL>(sum);
}
