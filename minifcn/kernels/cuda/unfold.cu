// unfold.cu: windows as columns, and the adjoint that adds them up again. The readable way to convolve.
//
//   unfold   col[n, c, u, v, i, j] = x[n, c, s i + d u - p, s j + d v - p]; outside the image 0
//   fold     x[n, c, h, k] = sum of col[n, c, u, v, i, j] over all taps that meet pixel (h, k)
//
// Fold is a gather. The pixel asks every tap (u, v) for the one output pixel (i, j) through which it
// could be met,  i = (h + p - d u) / s,  if s divides, and if there is one. The order of the sum is
// that of the taps, so the bits are the same every time, and nobody writes where another one does.
//
// unfold  A thread owns one number of col.
//   Launch  ceil(n / 256) blocks of 256 threads
//   Bytes   x once for each tap, mostly from the cache; col written once
// fold    A thread owns one number of x.
//   Launch  ceil(n / 256) blocks of 256 threads
//   Bytes   col read once, x written once
// REAL    the element type; halves are added up as floats
// Builds  REAL=floating
#include "common.cuh"

// x: N H W C in memory; col: N C KH KW P Q
extern "C" __global__ void unfold(const REAL* x, REAL* col, const __grid_constant__ Window window, int32 C, int64 n) {
  int64 at = line();
  if (at >= n) return;
  int64 rest = divide(at, window.Q);
  int32 j = (int32)(at - rest * window.Q);
  int64 outer = divide(rest, window.P);
  int32 i = (int32)(rest - outer * window.P);
  rest = divide(outer, window.KW);
  int32 v = (int32)(outer - rest * window.KW);
  outer = divide(rest, window.KH);
  int32 u = (int32)(rest - outer * window.KH);
  int64 image = divide(outer, C), c = outer - image * C;
  int32 h = window.sh * i + window.dh * u - window.ph, k = window.sw * j + window.dw * v - window.pw;
  bool inside = 0 <= h && h < window.H && 0 <= k && k < window.W;
  col[at] = inside ? x[((image * window.H + h) * window.W + k) * C + c] : narrow<REAL>(0);
}

extern "C" __global__ void fold(const REAL* col, REAL* x, const __grid_constant__ Window window, int32 C, int64 n) {
  int64 at = line();
  if (at >= n) return;
  int64 pixel = divide(at, C);
  int32 c = (int32)(at - pixel * C);
  int64 row = divide(pixel, window.W), image = divide(row, window.H);
  int32 k = (int32)(pixel - row * window.W), h = (int32)(row - image * window.H);
  WideOf<REAL>::type sum = 0;
  const REAL* of_channel = col + (image * C + c) * window.KH * window.KW * window.P * window.Q;
  for (int32 u = 0; u < window.KH; u++) {
    int32 down = h + window.ph - window.dh * u, i = down / window.sh;
    if (down < 0 || i * window.sh != down || i >= window.P) continue;
    for (int32 v = 0; v < window.KW; v++) {
      int32 right = k + window.pw - window.dw * v, j = right / window.sw;
      if (right < 0 || j * window.sw != right || j >= window.Q) continue;
      sum += wide(of_channel[(((int64)u * window.KW + v) * window.P + i) * window.Q + j]);
    }
  }
  x[at] = narrow<REAL>(sum);
}

// y = act(x + bias), with C channels side by side. A thread owns one number.
extern "C" __global__ void finish(const REAL* x, const REAL* bias, REAL* y, int32 C, bool relu, int64 n) {
  int64 i = line();
  if (i >= n) return;
  WideOf<REAL>::type sum = wide(x[i]);
  if (bias) sum += wide(bias[i - divide(i, C) * C]);
  y[i] = relu && sum <= 0 ? narrow<REAL>(0) : narrow<REAL>(sum);  // a nan stays
}
