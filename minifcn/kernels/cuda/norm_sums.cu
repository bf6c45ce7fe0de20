// norm_sums.cu: the sums of batch normalisation over all values of a channel, in one walk.
//
//   moments     mean = sum x / M      var = sum (x - mean)^2 / M      and, as M is known there,
//               running = (1 - momentum) running + momentum (mean, M / (M - 1) var); count += 1
//   grad_sums   gw = sum g (x - mean) r      gb = sum g      r = 1 / sqrt(var + eps)
//               g = gy, or 0 where a y is given that is at most 0
//
// A block owns one run of rows and PACK channels per thread (columns.cuh). Its threads meet in shared
// memory and leave one row of partial results; a second kernel puts those together in double. Always
// in the same order: the same bits twice, on every card.
//
// Squares of x would cancel where the mean is large. So ROWS values at a time are held in registers,
// their own mean is taken, then their squares around it; parts of n and m values meet as
//   mean = (n mean_n + m mean_m) / (n + m)      S = S_n + S_m + (mean_m - mean_n)^2 n m / (n + m)
// with S the sum of squares around the mean. All of it is measured from the channel's first value,
// so that the digits of a large mean are not carried along.
//
// Launch  blocks of (channels / PACK, rows) threads, 256 at most; at most 528 runs.
//         totals: 32 x 32 threads for 32 channels
// Bytes   moments: x read. grad_sums: gy, x and y read
// REAL    x, y and gy; STAT: what is one number per channel; WIDE: what is computed in
// Source  Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm, 1979
// Builds  REAL=float STAT=float WIDE=float PACKED=0|1
// Builds  REAL=double STAT=double WIDE=double PACKED=0|1
// Builds  REAL=half16 STAT=float|half16 WIDE=float PACKED=0|1
// Builds  REAL=bfloat16 STAT=float|bfloat16 WIDE=float PACKED=0|1
#include "columns.cuh"

constexpr int THREADS = 256;
constexpr int ROWS = 32 / PACK < 8 ? 32 / PACK : 8;  // 32 numbers in registers at most

// ---- mean and variance -----------------------------------------------------------------------------

// The value from which a channel is measured: its first, or 0 if that is not finite.
__device__ __forceinline__ WIDE origin_of(const REAL* x, int c) {
  WIDE v = wide(x[c]);
  return v - v == WIDE(0) ? v : WIDE(0);
}

// (n, mean, S) takes in (m, other mean, other S).
__device__ __forceinline__ void join(WIDE n, WIDE& mean, WIDE& S, WIDE m, WIDE mean_m, WIDE S_m) {
  WIDE share = m / (n + m), away = mean_m - mean;
  mean = (1 - share) * mean + share * mean_m;  // as a sum, in which an infinite mean stays infinite
  S += S_m + away * (n * share) * away;  // no square that overflows while n is 0
}

extern "C" __global__ void __launch_bounds__(256, 2) moments(
    const REAL* __restrict__ x, WIDE* means, WIDE* squares, int64 rows, int64 run, int C) {
  __shared__ WIDE shared_mean[THREADS * PACK], shared_S[THREADS * PACK], shared_n[THREADS];
  int c = own_channel();
  bool idle = c >= C;
  WIDE n = 0, mean[PACK], S[PACK], origin[PACK];
#pragma unroll
  for (int k = 0; k < PACK; k++) {
    mean[k] = S[k] = 0;
    origin[k] = idle ? WIDE(0) : origin_of(x, c + k);
  }
  Rows own = run_of_rows(rows, run);
  if (idle) own.stop = 0;
  for (int64 row = own.first; row < own.stop; row += ROWS * own.step) {
    Pack held[ROWS];
    int count = 0;
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      if (row + r * own.step < own.stop) {
        held[r] = load(x, row + r * own.step, C, c);
        count = r + 1;
      }
    WIDE m = (WIDE)count;
#pragma unroll
    for (int k = 0; k < PACK; k++) {
      WIDE sum = 0, around = 0;
#pragma unroll
      for (int r = 0; r < ROWS; r++) if (r < count) sum += wide(held[r].at[k]) - origin[k];
      WIDE centre = sum / m;
#pragma unroll
      for (int r = 0; r < ROWS; r++)
        if (r < count) {
          WIDE d = wide(held[r].at[k]) - origin[k] - centre;
          around += d * d;
        }
      join(n, mean[k], S[k], m, centre, around);
    }
    n += m;
  }

  int me = threadIdx.y * blockDim.x + threadIdx.x;
  shared_n[me] = n;
#pragma unroll
  for (int k = 0; k < PACK; k++) { shared_mean[me * PACK + k] = mean[k]; shared_S[me * PACK + k] = S[k]; }
  for (int left = blockDim.y; left > 1; left = (left + 1) / 2) {  // rows of threads still to be joined
    __syncthreads();
    int other = me + (left + 1) / 2 * blockDim.x;
    if (threadIdx.y + (left + 1) / 2 < left && shared_n[other] > 0) {
#pragma unroll
      for (int k = 0; k < PACK; k++)
        join(shared_n[me], shared_mean[me * PACK + k], shared_S[me * PACK + k],
             shared_n[other], shared_mean[other * PACK + k], shared_S[other * PACK + k]);
      shared_n[me] += shared_n[other];
    }
  }
  if (idle || threadIdx.y > 0) return;
#pragma unroll
  for (int k = 0; k < PACK; k++) {
    means[(int64)blockIdx.x * C + c + k] = shared_mean[me * PACK + k];
    squares[(int64)blockIdx.x * C + c + k] = shared_S[me * PACK + k];
  }
}

// Add up `value` over the 32 rows of threads; every thread gets its channel's total.
__device__ __forceinline__ double column_total(double value) {
  __shared__ double room[32][33];
  __syncthreads();
  room[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  double total = 0;
#pragma unroll 4
  for (int y = 0; y < 32; y++) total += room[y][threadIdx.x];
  return total;
}

// First the common mean; then the squares, moved to it from where each part has its own. What runs
// along may be null; unbias = M / (M - 1).
extern "C" __global__ void __launch_bounds__(1024) moments_total(
    const REAL* x, const WIDE* means, const WIDE* squares, WIDE* mean, WIDE* var, WIDE* running_mean,
    WIDE* running_var, double momentum, double unbias, int64* count, int parts, int64 rows, int64 run, int C) {
  int c = blockIdx.x * 32 + threadIdx.x;
  double sum = 0, S = 0;
  for (int p = threadIdx.y; p < parts && c < C; p += 32) {
    double n = (double)((p + 1) * run < rows ? run : rows - p * run);
    sum += n * means[(int64)p * C + c];
  }
  double centre = column_total(sum) / rows;
  for (int p = threadIdx.y; p < parts && c < C; p += 32) {
    double n = (double)((p + 1) * run < rows ? run : rows - p * run);
    double away = means[(int64)p * C + c] - centre;
    S += squares[(int64)p * C + c] + n * away * away;
  }
  S = column_total(S);
  if (threadIdx.y > 0 || c >= C) return;
  WIDE own_mean = (WIDE)(rows ? origin_of(x, c) + centre : 0.0), own_var = (WIDE)(rows ? S / rows : 0.0);
  WIDE stay = (WIDE)(1 - momentum), go = (WIDE)momentum;
  mean[c] = own_mean;
  var[c] = own_var;
  if (running_mean) running_mean[c] = stay * running_mean[c] + go * own_mean;
  if (running_var) running_var[c] = stay * running_var[c] + go * ((WIDE)unbias * own_var);
  if (count && c == 0) *count += 1;
}

// ---- the gradients of weight and bias ----------------------------------------------------------------

extern "C" __global__ void __launch_bounds__(256) grad_sums(
    const REAL* __restrict__ gy, const REAL* __restrict__ y, const REAL* __restrict__ x,
    const STAT* mean, WIDE* products, WIDE* plain, int64 rows, int64 run, int C) {
  __shared__ WIDE shared_w[THREADS * PACK], shared_b[THREADS * PACK];
  int c = own_channel();
  bool idle = c >= C;
  WIDE w[PACK], b[PACK], from[PACK];
#pragma unroll
  for (int k = 0; k < PACK; k++) {
    w[k] = b[k] = 0;
    from[k] = idle ? WIDE(0) : wide(mean[c + k]);
  }
  Rows own = run_of_rows(rows, run);
  if (idle) own.stop = 0;
#pragma unroll 4
  for (int64 row = own.first; row < own.stop; row += own.step) {
    Pack g = load(gy, row, C, c), p = load(x, row, C, c), q = y ? load(y, row, C, c) : g;
#pragma unroll
    for (int k = 0; k < PACK; k++) {
      WIDE v = y && wide(q.at[k]) <= WIDE(0) ? WIDE(0) : wide(g.at[k]);
      w[k] += v * (wide(p.at[k]) - from[k]);
      b[k] += v;
    }
  }

  int me = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int k = 0; k < PACK; k++) { shared_w[me * PACK + k] = w[k]; shared_b[me * PACK + k] = b[k]; }
  for (int left = blockDim.y; left > 1; left = (left + 1) / 2) {
    __syncthreads();
    int other = me + (left + 1) / 2 * blockDim.x;
    if (threadIdx.y + (left + 1) / 2 < left) {
#pragma unroll
      for (int k = 0; k < PACK; k++) {
        shared_w[me * PACK + k] += shared_w[other * PACK + k];
        shared_b[me * PACK + k] += shared_b[other * PACK + k];
      }
    }
  }
  if (idle || threadIdx.y > 0) return;
#pragma unroll
  for (int k = 0; k < PACK; k++) {
    products[(int64)blockIdx.x * C + c + k] = shared_w[me * PACK + k];
    plain[(int64)blockIdx.x * C + c + k] = shared_b[me * PACK + k];
  }
}

extern "C" __global__ void __launch_bounds__(1024) grad_sums_total(
    const WIDE* products, const WIDE* plain, const STAT* var, double eps, STAT* gw, STAT* gb,
    int parts, int C) {
  int c = blockIdx.x * 32 + threadIdx.x;
  double w = 0, b = 0;
  for (int p = threadIdx.y; p < parts && c < C; p += 32) {
    w += products[(int64)p * C + c];
    b += plain[(int64)p * C + c];
  }
  w = column_total(w);
  b = column_total(b);
  if (threadIdx.y > 0 || c >= C) return;
  gw[c] = narrow<STAT>(w / sqrt((double)wide(var[c]) + eps));
  gb[c] = narrow<STAT>(b);
}
