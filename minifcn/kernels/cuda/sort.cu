// sort.cu: sort keys upwards, in place: Batcher's bitonic network.
//
//   for size = 2, 4, ..., n, for far = size / 2, ..., 1: key i and key i + far in order, upwards
//   where the bit `size` of i is 0, else downwards
//
// n is a power of two and the keys differ, so there is one result. A thread owns one comparison.
// Steps with far < TILE stay within TILE keys, which a block keeps in shared memory; the others
// take a launch each.
//
// Launch  tiles, near: n / TILE blocks of TILE / 2 threads (one smaller block if n < TILE)
//         far: n / 2 threads
// Bytes   n keys read and written per launch, log2(n / TILE) (log2(n / TILE) + 3) / 2 + 1 launches
// Builds  as it is
// Source  Batcher, Sorting networks and their applications, 1968
#include "common.cuh"

constexpr int TILE = 1024;

__device__ __forceinline__ void in_order(uint64& low, uint64& high, bool up) {
  if ((low > high) == up) {
    uint64 other = low;
    low = high;
    high = other;
  }
}

// One step among the `count` keys of a block; the first of them is number `start`.
__device__ __forceinline__ void step(uint64* tile, int64 start, int64 size, int far) {
  int t = threadIdx.x, i = 2 * t - t % far;
  in_order(tile[i], tile[i + far], ((start + i) & size) == 0);
  __syncthreads();
}

// all sizes up to TILE
extern "C" __global__ void tiles(uint64* key, int64 n) {
  __shared__ uint64 tile[TILE];
  int64 start = (int64)blockIdx.x * 2 * blockDim.x;
  for (int half = 0; half < 2; half++) tile[threadIdx.x + half * blockDim.x] = key[start + threadIdx.x + half * blockDim.x];
  __syncthreads();
  for (int size = 2; size <= 2 * (int)blockDim.x; size *= 2)
    for (int far = size / 2; far > 0; far /= 2) step(tile, start, size, far);
  for (int half = 0; half < 2; half++) key[start + threadIdx.x + half * blockDim.x] = tile[threadIdx.x + half * blockDim.x];
}

// the last steps of one size: far < TILE
extern "C" __global__ void near_steps(uint64* key, int64 n, int64 size) {
  __shared__ uint64 tile[TILE];
  int64 start = (int64)blockIdx.x * TILE;
  for (int half = 0; half < 2; half++) tile[threadIdx.x + half * blockDim.x] = key[start + threadIdx.x + half * blockDim.x];
  __syncthreads();
  for (int far = TILE / 2; far > 0; far /= 2) step(tile, start, size, far);
  for (int half = 0; half < 2; half++) key[start + threadIdx.x + half * blockDim.x] = tile[threadIdx.x + half * blockDim.x];
}

// one step of one size, far >= TILE
extern "C" __global__ void far_step(uint64* key, int64 n, int64 size, int64 far) {
  int64 t = line(), i = 2 * t - t % far;
  if (i + far < n) in_order(key[i], key[i + far], (i & size) == 0);
}
