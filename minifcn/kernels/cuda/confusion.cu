// confusion.cu: are labels classes, and how often is one taken for another?
//
//   first_bad_label   least = the first position whose label is neither ignored nor 0 .. classes - 1
//   confusion         matrix[t, p] = number of pixels of class t whose largest logit is p
//
// first_bad_label: a thread owns a label. `least` is -1 before, which as a number without a sign is the
// largest: only a bad label touches it, so the atomic costs nothing where all is well.
// confusion: a thread owns pixels one grid apart and walks along their C logits; of equals the first
// wins, and the first nan before all. A label that is no class is not counted. Counts of whole numbers
// are the same in any order, so atomics do: a block counts in shared memory where the matrix fits, and
// adds that to global memory once instead of once per pixel.
//
// Launch  start: a thread per number. first_bad_label: ceil(n / 256) blocks of 256 threads. confusion:
//         at most 1024 such blocks
// Bytes   target read, or target and logits
// LABEL   the type of labels; REAL: of logits
// Builds  REAL=floating LABEL=uint8|int32|int64
#include "common.cuh"

typedef WideOf<REAL>::type Wide;

extern "C" __global__ void start(uint64* y, uint64 value, int64 n) {
  int64 i = line();
  if (i < n) y[i] = value;
}

extern "C" __global__ void first_bad_label(const LABEL* target, int64 classes, int64 ignore, uint64* least, int64 n) {
  int64 i = line();
  if (i >= n) return;
  int64 label = (int64)target[i];
  if ((label < 0 || label >= classes) && label != ignore) atomicMin(least, (uint64)i);
}

// `spare`: C C if the block counts in shared memory, else 0
extern "C" __global__ void confusion(
    const REAL* __restrict__ x, const LABEL* __restrict__ target, bool ignoring, int64 ignore,
    uint64* matrix, int64 pixels, int C, int spare) {
  extern __shared__ __align__(16) char room[];
  uint32* own = (uint32*)room;
  for (int k = threadIdx.x; k < spare; k += blockDim.x) own[k] = 0;
  __syncthreads();
  int64 step = (int64)gridDim.x * blockDim.x;
  for (int64 i = line(); i < pixels; i += step) {
    int64 label = (int64)target[i];
    if ((ignoring && label == ignore) || label < 0 || label >= C) continue;
    const REAL* logits = x + i * C;
    Wide best = wide(logits[0]);
    int found = 0;
    for (int c = 1; c < C; c++) {
      Wide v = wide(logits[c]);
      if (v > best || (v != v && best == best)) { best = v; found = c; }
    }
    if (spare) atomicAdd(&own[label * C + found], 1u);
    else atomicAdd(&matrix[label * C + found], 1ull);
  }
  __syncthreads();
  for (int k = threadIdx.x; k < spare; k += blockDim.x)
    if (own[k]) atomicAdd(&matrix[k], (uint64)own[k]);
}
