// matmul.cu: a batch of matrix products.
//
//   y[i, m, n] = sum_k a[i, m, k] b[i, k, n]
//
// A block owns ROWS x COLS numbers of one y (tile.cuh). Each operand may lie in rows or in columns, so
// a transposed matrix need not be copied, and either may be the same for the whole batch.
//
// Launch  batch * ceil(M / ROWS) * ceil(N / COLS) blocks of THREADS threads
// Bytes   a ceil(N / COLS) times, b ceil(M / ROWS) times, mostly from the cache; y written once
// REAL                       the element type; halves are multiplied and summed as floats
// A_IN_ROWS, B_IN_ROWS       1 if the last axis is the fast one, else 0
// VECTOR_A, VECTOR_B         4 or 1: numbers of one load
// ROWS, COLS, ACROSS, THREADS  the tiles
// Builds  REAL=float|half16|bfloat16 A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4 VECTOR_B=4 ROWS=128 COLS=128 ACROSS=16 THREADS=256
// Builds  REAL=float|half16|bfloat16 A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4 VECTOR_B=4 ROWS=128 COLS=64 ACROSS=8 THREADS=128
// Builds  REAL=float|half16|bfloat16 A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4 VECTOR_B=4 ROWS=256 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=float|half16|bfloat16 A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4|1 VECTOR_B=4|1 ROWS=128 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=floating A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4|1 VECTOR_B=4|1 ROWS=128 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=floating A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4|1 VECTOR_B=4|1 ROWS=64 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=float|half16|bfloat16 A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=4|1 VECTOR_B=4|1 ROWS=256 COLS=16 ACROSS=4 THREADS=256
// Builds  REAL=integer A_IN_ROWS=1|0 B_IN_ROWS=1|0 VECTOR_A=1 VECTOR_B=1 ROWS=64 COLS=64 ACROSS=16 THREADS=256
// Stack   matmul: what a long sum had so far; no register is left (tile.cuh)
#include "tile.cuh"

// A matrix of `lines` x `run` numbers; the tile's steps go along its runs or across.
template <int SIZE, int V, bool ALONG_K> struct Operand {
  typedef Stage<SIZE, V, ALONG_K> Share;
  Share share;
  const REAL* x;
  int64 first, size, k, steps;  // of rows (or columns) and of steps

  __device__ __forceinline__ Operand(const REAL* x, int64 first, int64 size, int64 steps)
      : x(x), first(first), size(size), k(0), steps(steps) {}
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int64 m = first + share.m(l), step = k + share.k(l);
      bool inside = share.mine(l) && m < size && step < steps;
      share.load(l, inside ? x + (ALONG_K ? m * steps + step : step * size + m) : nullptr);
    }
    k += DEPTH;
  }
  __device__ __forceinline__ void store(Wide (*tile)[SIZE + 4]) const { share.store(tile); }
};

// a_step, b_step: from one matrix of the batch to the next, 0 if there is only one
extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
matmul(const REAL* __restrict__ a, const REAL* __restrict__ b, REAL* y, int64 M, int64 N, int64 K, int64 a_step,
       int64 b_step) {
  __shared__ Tiles tiles[2];
  uint32 across = (uint32)((N + COLS - 1) / COLS), down = (uint32)((M + ROWS - 1) / ROWS);
  uint32 rest = blockIdx.x / across, i = rest / down;
  int64 column = (int64)(blockIdx.x - rest * across) * COLS, row = (int64)(rest - i * down) * ROWS;
  Operand<ROWS, VECTOR_A, A_IN_ROWS != 0> left(a + i * a_step, row, M, K);
  Operand<COLS, VECTOR_B, B_IN_ROWS == 0> right(b + i * b_step, column, N, K);
  Sums sums;
  product(left, right, (int32)((K + DEPTH - 1) / DEPTH), tiles, sums);
  REAL* to = y + i * M * N;
#pragma unroll
  for (int p = 0; p < MINE_M; p++) {
    int64 m = row + Sums::m(p);
#pragma unroll
    for (int q = 0; q < MINE_N; q += 4) {
      int64 n = column + Sums::n(q);
      if (m < M && n < N) put(to + m * N + n, &sums.at[p][q], N - n, N % 4 == 0);
    }
  }
}
