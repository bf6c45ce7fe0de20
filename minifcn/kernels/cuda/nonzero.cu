// nonzero.cu: where a mask is true, in row order, as one row of indices per axis.
//
//   count    true elements in every run of 1024
//   offsets  offset[k] = true elements before run k; offset[runs] = all of them
//   write    index[axis, offset + own rank] = index of the element along the axis
//
// A warp owns a run and takes it 32 elements at a time: a ballot shows each lane how many of the
// others come before it. The host reads offset[runs] between the last two, to make the result.
//
// Launch  count, write: ceil(runs / 8) blocks of 256 threads; offsets: one block of 256
// Bytes   the mask twice, the indices once
// Builds  as it is
#include "common.cuh"

constexpr int RUN = 1024;

extern "C" __global__ void count(const bool* mask, int64* counts, int64 runs, int64 n) {
  int64 k = line() / 32;
  int lane = threadIdx.x % 32, found = 0;
  if (k >= runs) return;  // a whole warp
  for (int64 i = k * RUN + lane; i < (k + 1) * RUN; i += 32)
    found += __popc(__ballot_sync(0xffffffffu, i < n && mask[i]));
  if (lane == 0) counts[k] = found;
}

extern "C" __global__ void offsets(const int64* counts, int64* offset, int64 runs) {
  __shared__ int64 part[256];
  int64 before = 0;
  for (int64 first = 0; first < runs; first += 256) {
    int64 k = first + threadIdx.x, own = k < runs ? counts[k] : 0;
    part[threadIdx.x] = own;
    __syncthreads();
    for (int far = 1; far < 256; far *= 2) {  // part[t] becomes the sum of counts up to t
      int64 more = threadIdx.x >= far ? part[threadIdx.x - far] : 0;
      __syncthreads();
      part[threadIdx.x] += more;
      __syncthreads();
    }
    if (k < runs) offset[k] = before + part[threadIdx.x] - own;
    before += part[255];
    __syncthreads();
  }
  if (threadIdx.x == 0) offset[runs] = before;
}

// `sizes` are those of the mask's axes
extern "C" __global__ void write(const bool* mask, const int64* offset, const __grid_constant__ View sizes,
                                 int64* index, int64 found, int64 runs, int64 n) {
  int64 k = line() / 32;
  int lane = threadIdx.x % 32;
  if (k >= runs) return;
  int64 before = offset[k];
  for (int64 i = k * RUN + lane; i < (k + 1) * RUN; i += 32) {
    bool here = i < n && mask[i];
    uint32 all = __ballot_sync(0xffffffffu, here);
    if (here) {
      int64 rank = before + __popc(all & ((1u << lane) - 1)), rest = i;
      for (int a = sizes.ndim - 1; a >= 0; a--) {
        int64 next = rest / sizes.size[a];
        index[a * found + rank] = rest - next * sizes.size[a];
        rest = next;
      }
    }
    before += __popc(all);
  }
}
