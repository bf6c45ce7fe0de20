// resize.cu: a linear map along rows and columns, each output a weighted sum of a few inputs.
//
//   x lies [A, H, W, B] in memory, y [A, P, Q, B]
//
//   y[a, i, j, b] = sum over (h, u) in rows[i] and (w, v) in cols[j] of  u v x[a, h, w, b]
//
// rows[i] are the entries row_start[i] to row_start[i + 1] of row_at and row_by; cols alike. A null
// row_start stands for the identity: one axis alone. The adjoint is the same map with the lists
// turned round, so it gathers too.
// A thread owns one element of y; a warp reads neighbouring b or neighbouring w.
// Launch  ceil(A P Q B / 256) blocks of 256 threads
// Bytes   y once; x once per tap, from the cache but for the first time
// REAL, OUT, BY  the types of x, of y, and of the weights, in which one computes
// Builds  REAL=float OUT=float|half16|bfloat16 BY=float
// Builds  REAL=half16|bfloat16 OUT=REAL|float BY=float
// Builds  REAL=double|integer OUT=REAL BY=double
#include "common.cuh"

extern "C" __global__ void resample(
    const REAL* x, const int32* row_start, const int32* row_at, const BY* row_by, const int32* col_start,
    const int32* col_at, const BY* col_by, OUT* y, int64 A, int64 H, int64 W, int64 P, int64 Q, int64 B) {
  int64 n = line();
  if (n >= A * P * Q * B) return;
  int64 b = n % B, j = n / B % Q, i = n / (B * Q) % P;
  const REAL* image = x + n / (B * Q * P) * H * W * B + b;
  int64 first_row = row_start ? row_start[i] : i, last_row = row_start ? row_start[i + 1] : i + 1;
  int64 first_col = col_start ? col_start[j] : j, last_col = col_start ? col_start[j + 1] : j + 1;
  BY sum = 0;
  for (int64 r = first_row; r < last_row; r++) {
    const REAL* row = image + (row_start ? row_at[r] : r) * W * B;
    BY part = 0;
    for (int64 q = first_col; q < last_col; q++)
      part += (col_start ? col_by[q] : BY(1)) * (BY)wide(row[(col_start ? col_at[q] : q) * B]);
    sum += (row_start ? row_by[r] : BY(1)) * part;
  }
  y[n] = narrow<OUT>(sum);
}
