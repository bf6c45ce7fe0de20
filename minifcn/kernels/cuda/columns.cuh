// columns.cuh: an array as rows of C numbers, one per channel: the memory of an image, N H W C.
//
// A thread owns PACK neighbouring channels of some rows: what is one number per channel it works out
// once, and then walks down. Threads along x lie along a row, so a warp reads whole sectors.
// PACKED  1: C is a multiple of 16 bytes and so is every address; 0: one channel per thread
#pragma once
#include "common.cuh"

constexpr int PACK = PACKED ? 16 / sizeof(REAL) : 1;
struct alignas(PACK * sizeof(REAL)) Pack { REAL at[PACK]; };

// PACK numbers of row `row` from channel c on
__device__ __forceinline__ Pack load(const REAL* x, int64 row, int C, int c) {
  return *(const Pack*)(x + row * C + c);
}
__device__ __forceinline__ void store(REAL* x, int64 row, int C, int c, const Pack& p) {
  *(Pack*)(x + row * C + c) = p;
}

// Blocks of (channels / PACK, rows) threads; the grid's y counts blocks along a row.
__device__ __forceinline__ int own_channel() { return (blockIdx.y * blockDim.x + threadIdx.x) * PACK; }

struct Rows { int64 first, step, stop; };

// every block takes rows from all of the array: for what writes each row
__device__ __forceinline__ Rows spread_rows(int64 rows) {
  return {(int64)blockIdx.x * blockDim.y + threadIdx.y, (int64)gridDim.x * blockDim.y, rows};
}
// every block takes one run of rows: for sums, which are then the same on every card
__device__ __forceinline__ Rows run_of_rows(int64 rows, int64 run) {
  int64 stop = (blockIdx.x + 1) * run;
  return {blockIdx.x * run + threadIdx.y, blockDim.y, stop < rows ? stop : rows};
}
