// norm.cu: batch normalisation where its sums are known; one number per channel and what follows.
//
//   affine      y  = (x - origin) s + shift    s = scale, or scale / sqrt(var + eps); then max(y, 0)
//   input_grad  gx = weight r (g - gb/M - (x - mean) r gw/M)    r = 1 / sqrt(var + eps)
//               g  = gy, or 0 where a y is given that is at most 0
//   move        running = (1 - momentum) running + momentum batch, for the mean and for unbias var
//
// A thread owns PACK channels of some rows (columns.cuh): it reads their coefficients once, then each
// row takes one wide load per input and one wide store.
//
// Launch  see columns.cuh; blocks of at most 256 threads, at most 4096 blocks
// Bytes   affine: x read, y written. input_grad: gy, x and y read, gx written
// REAL    x, y and their gradients; STAT: what is one number per channel; WIDE: what is computed in
// Builds  REAL=float STAT=float WIDE=float PACKED=0|1
// Builds  REAL=double STAT=double WIDE=double PACKED=0|1
// Builds  REAL=half16 STAT=float|half16 WIDE=float PACKED=0|1
// Builds  REAL=bfloat16 STAT=float|bfloat16 WIDE=float PACKED=0|1
#include "columns.cuh"

__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }

// `var` may be null for a scale that is complete
extern "C" __global__ void affine(
    const REAL* __restrict__ x, const STAT* origin, const STAT* scale, const STAT* shift,
    const STAT* var, double eps, bool relu, REAL* __restrict__ y, int64 rows, int C) {
  int c = own_channel();
  if (c >= C) return;
  WIDE from[PACK], times[PACK], plus[PACK];
#pragma unroll
  for (int k = 0; k < PACK; k++) {
    from[k] = wide(origin[c + k]);
    times[k] = wide(scale[c + k]);
    plus[k] = wide(shift[c + k]);
    if (var) times[k] /= root(wide(var[c + k]) + (WIDE)eps);
  }
  Rows own = spread_rows(rows);
#pragma unroll 4
  for (int64 row = own.first; row < own.stop; row += own.step) {
    Pack p = load(x, row, C, c);
#pragma unroll
    for (int k = 0; k < PACK; k++) {
      WIDE v = (wide(p.at[k]) - from[k]) * times[k] + plus[k];
      p.at[k] = narrow<REAL>(relu && v <= WIDE(0) ? WIDE(0) : v);  // nan stays
    }
    store(y, row, C, c, p);
  }
}

extern "C" __global__ void input_grad(
    const REAL* __restrict__ gy, const REAL* __restrict__ y, const REAL* __restrict__ x,
    const STAT* weight, const STAT* mean, const STAT* var, const STAT* gw, const STAT* gb,
    double eps, double M, REAL* __restrict__ gx, int64 rows, int C) {
  int c = own_channel();
  if (c >= C) return;
  WIDE from[PACK], times[PACK], slope[PACK], level[PACK];
#pragma unroll
  for (int k = 0; k < PACK; k++) {
    WIDE r = 1 / root(wide(var[c + k]) + (WIDE)eps);
    from[k] = wide(mean[c + k]);
    times[k] = wide(weight[c + k]) * r;
    slope[k] = -r * wide(gw[c + k]) / (WIDE)M;
    level[k] = -wide(gb[c + k]) / (WIDE)M;
  }
  Rows own = spread_rows(rows);
#pragma unroll 4
  for (int64 row = own.first; row < own.stop; row += own.step) {
    Pack g = load(gy, row, C, c), p = load(x, row, C, c), q = y ? load(y, row, C, c) : g;
#pragma unroll
    for (int k = 0; k < PACK; k++) {
      WIDE v = y && wide(q.at[k]) <= WIDE(0) ? WIDE(0) : wide(g.at[k]);
      v += slope[k] * (wide(p.at[k]) - from[k]) + level[k];
      g.at[k] = narrow<REAL>(times[k] * v);
    }
    store(gx, row, C, c, g);
  }
}

// A thread owns one channel. REAL: the running statistics, each of which may be null; STAT: the batch's
extern "C" __global__ void move(REAL* running_mean, REAL* running_var, const STAT* mean, const STAT* var,
                                double momentum, double unbias, int64 C) {
  int64 c = line();
  if (c >= C) return;
  WIDE stay = (WIDE)(1 - momentum), go = (WIDE)momentum;
  if (running_mean) running_mean[c] = narrow<REAL>(stay * wide(running_mean[c]) + go * wide(mean[c]));
  if (running_var)
    running_var[c] = narrow<REAL>(stay * wide(running_var[c]) + go * ((WIDE)unbias * wide(var[c])));
}
