// train.cu: what a training step decides on the device, so that the host need not look.
//
//   judge      skip = the loss is nan, or the run is stopped
//              stopped = the loss is infinite, or a label is no class; once so, it stays so
//              record[slot] = (loss, 0: done or nan, 1: a label is no class, 2: was stopped before)
//   keep       room = all buffers (running statistics), one after another
//   put_back   all buffers = room, if skip
//
// judge: one thread. keep, put_back: a block owns a buffer, a thread every 256th byte.
// Launch  judge 1 block of 1 thread; the others one block of 256 threads per buffer
// Bytes   every buffer read once and written once, a few kilobytes
// REAL    the type of the loss
// Builds  REAL=floating
#include "common.cuh"

extern "C" __global__ void judge(const REAL* loss, const int64* flags, int32 count, const int64* slot,
                                 double* record, int32* stopped, int32* skip) {
  if (line() != 0) return;
  double value = (double)wide(*loss);
  bool label = false;
  for (int k = 0; k < count; k++) label = label || flags[k] >= 0;
  record[2 * *slot] = value;
  record[2 * *slot + 1] = *stopped ? 2 : label ? 1 : 0;
  bool is_nan = value != value, infinite = !is_nan && value - value != 0;
  if (label || infinite) *stopped = 1;
  *skip = *stopped || is_nan;
}

extern "C" __global__ void keep(const uint64* addresses, const int64* starts, uint8* room) {
  int64 start = starts[blockIdx.x], size = starts[blockIdx.x + 1] - start;
  const uint8* buffer = (const uint8*)addresses[blockIdx.x];
  for (int64 i = threadIdx.x; i < size; i += blockDim.x) room[start + i] = buffer[i];
}

extern "C" __global__ void put_back(const int32* skip, const uint64* addresses, const int64* starts,
                                    const uint8* room) {
  if (!*skip) return;
  int64 start = starts[blockIdx.x], size = starts[blockIdx.x + 1] - start;
  uint8* buffer = (uint8*)addresses[blockIdx.x];
  for (int64 i = threadIdx.x; i < size; i += blockDim.x) buffer[i] = room[start + i];
}
