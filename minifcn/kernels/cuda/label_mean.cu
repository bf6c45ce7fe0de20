// label_mean.cu: the mean of a loss over the pixels that count, weighed by their labels.
//
//   total = sum over pixels of k weight[label]        k = [the label counts]; nan if that is 0
//   mean  = sum of loss / total
//
// A block owns `run` neighbouring pixels; its 256 threads meet in shared memory, in a fixed order. The
// sums of several blocks are joined by `label_mean_total`; a single block divides by itself. A label
// that is no class is never an index: the mean is nan.
//
// Launch  label_mean: ceil(pixels / run) blocks of 256 threads, at least one. label_mean_total: one
// Bytes   loss and target read
// REAL    the loss; LABEL: the type of labels; TOTAL: see sums.cuh
// Builds  REAL=floating LABEL=uint8|int32|int64 TOTAL=double
#include "common.cuh"
#include "sums.cuh"

// In thread 0 the sums of all threads of the block.
__device__ __forceinline__ void meet(double& a, double& b) {
  __shared__ double room[2][256];
  room[0][threadIdx.x] = a;
  room[1][threadIdx.x] = b;
  for (int left = 128; left > 0; left /= 2) {
    __syncthreads();
    if (threadIdx.x < left) {
      room[0][threadIdx.x] += room[0][threadIdx.x + left];
      room[1][threadIdx.x] += room[1][threadIdx.x + left];
    }
  }
  a = room[0][threadIdx.x];
  b = room[1][threadIdx.x];
}

__device__ __forceinline__ void divide(double sum, double mass, REAL* mean, REAL* total) {
  double by = mass == 0 ? (double)__int_as_float(0x7fffffff) : mass;
  *mean = narrow<REAL>(sum / by);
  *total = narrow<REAL>(by);
}

extern "C" __global__ void label_mean(
    const REAL* __restrict__ loss, const LABEL* __restrict__ target, const REAL* __restrict__ weight,
    int64 ignore, int C, double* parts, REAL* mean, REAL* total, int64 pixels, int64 run) {
  int64 first = blockIdx.x * run, stop = first + run < pixels ? first + run : pixels;
  Sum<REAL> sums, masses;
  for (int64 i = first + threadIdx.x; i < stop; i += 256) {
    int64 label = (int64)target[i];
    sums.add(loss[i]);
    if (label == ignore) continue;
    masses.add(label >= 0 && label < C ? weight[label] : narrow<REAL>(__int_as_float(0x7fffffff)));
  }
  double sum = sums.close(), mass = masses.close();
  meet(sum, mass);
  if (threadIdx.x > 0) return;
  if (gridDim.x == 1) {
    divide(sum, mass, mean, total);
  } else {
    parts[2 * blockIdx.x] = sum;
    parts[2 * blockIdx.x + 1] = mass;
  }
}

extern "C" __global__ void label_mean_total(const double* parts, REAL* mean, REAL* total, int count) {
  double sum = 0, mass = 0;
  for (int k = threadIdx.x; k < count; k += 256) {
    sum += parts[2 * k];
    mass += parts[2 * k + 1];
  }
  meet(sum, mass);
  if (threadIdx.x == 0) divide(sum, mass, mean, total);
}
