// pool.cu: the largest pixel and the mean of every window, and the gradients of both, as gathers.
//
//   max_pool        y[i, j]  = max_{u,v} x[s i + d u - p]   its tap u KW + v, or its place h W + k
//   max_pool_grad   x[h, k]  = sum of g[i, j] over the windows whose tap meets pixel (h, k)
//   max_pool_take   y[i, j]  = x at the pixel that tap[i, j] meets, 0 where it meets none
//   avg_pool        y[i, j]  = sum_{u,v} x[s i + d u - p] / div[i, j]
//   avg_pool_grad   x[h, k]  = sum of g[i, j] / div[i, j] over the windows that cover pixel (h, k)
//
// A thread owns PACK channels of one pixel of the result, and looks at the pixels that it is made of.
// So nothing is added to the same place by two threads, and every sum has its order.
//
// Launch  grid (N times rows of the result, blocks along a row), blocks of at most 256 threads
// Bytes   every input read once per window that holds it, mostly from the cache; the result written
// REAL    elements; TAP: numbers of taps; PACKED: 1 if C is a multiple of 16 bytes and so is every address
// Builds  REAL=floating TAP=uint8|uint16|uint32 PACKED=0|1
// Builds  REAL=int8|int16|int32|int64|uint8|uint16|uint32|uint64 TAP=uint8|uint16|uint32 PACKED=0|1
#include "common.cuh"

typedef WideOf<REAL>::type Wide;
constexpr int PACK = PACKED ? 16 / sizeof(REAL) : 1;
struct alignas(PACK * sizeof(REAL)) Pack { REAL at[PACK]; };
struct alignas(PACK * sizeof(TAP)) Taps { TAP at[PACK]; };

// Which pixel of the result, with `high` rows of `wide_` pixels of C channels, this thread owns.
struct Spot { int64 n; int row, column, c; bool outside; };

__device__ __forceinline__ Spot own_spot(int high, int wide_, int C) {
  int across = C / PACK, k = blockIdx.y * blockDim.x + threadIdx.x, column = k / across;
  int64 n = blockIdx.x / high;
  return {n, (int)(blockIdx.x - n * high), column, (k - column * across) * PACK, column >= wide_};
}
__device__ __forceinline__ int64 place(int64 n, int row, int column, int c, int high, int wide_, int C) {
  return ((n * high + row) * wide_ + column) * C + c;
}

// Windows i with a tap on pixel h: first <= i <= last along one axis of P windows with K taps.
struct Reach { int first, last; };

__device__ __forceinline__ Reach windows_on(int h, int s, int d, int p, int K, int P) {
  int top = h + p - d * (K - 1), bottom = h + p;
  int first = top > 0 ? (top + s - 1) / s : 0, last = bottom < 0 ? -1 : bottom / s;
  return {first, last < P ? last : P - 1};
}

// How many taps of window i along an axis lie in start <= place < stop; at least 1.
__device__ __forceinline__ int counted(int i, int s, int d, int p, int K, int start, int stop) {
  int at = s * i - p, below = start - at, inside = stop - at;  // taps with below <= d u < inside
  int first = below > 0 ? (below + d - 1) / d : 0, after = inside > 0 ? (inside + d - 1) / d : 0;
  int count = (after < K ? after : K) - first;
  return count > 1 ? count : 1;
}

// ---- the largest -----------------------------------------------------------------------------------

// y, tap and index may each be null. Of equals the first; a nan wins, the last one; a window without
// pixels has the value `lowest`, the tap KH KW and the index -1.
extern "C" __global__ void max_pool(
    const REAL* __restrict__ x, const __grid_constant__ Window w, double lowest,
    REAL* __restrict__ y, TAP* __restrict__ tap, int64* __restrict__ index, int C) {
  Spot o = own_spot(w.P, w.Q, C);
  if (o.outside) return;
  Wide best[PACK];
  int won[PACK];
  int64 found[PACK];  // an image may have more than 2^31 pixels
#pragma unroll
  for (int q = 0; q < PACK; q++) {
    best[q] = wide(narrow<REAL>(lowest));
    won[q] = w.KH * w.KW;
    found[q] = -1;
  }
  for (int u = 0; u < w.KH; u++) {
    int h = w.sh * o.row + w.dh * u - w.ph;
    if (h < 0 || h >= w.H) continue;
    for (int v = 0; v < w.KW; v++) {
      int k = w.sw * o.column + w.dw * v - w.pw;
      if (k < 0 || k >= w.W) continue;
      Pack p = *(const Pack*)(x + place(o.n, h, k, o.c, w.H, w.W, C));
#pragma unroll
      for (int q = 0; q < PACK; q++) {
        Wide value = wide(p.at[q]);
        if (value > best[q] || found[q] < 0 || value != value) {
          best[q] = value;
          won[q] = u * w.KW + v;
          found[q] = (int64)h * w.W + k;
        }
      }
    }
  }
  int64 to = place(o.n, o.row, o.column, o.c, w.P, w.Q, C);
  Pack out;
  Taps taps;
#pragma unroll
  for (int q = 0; q < PACK; q++) {
    out.at[q] = narrow<REAL>(best[q]);
    taps.at[q] = (TAP)won[q];
    if (index) index[to + q] = found[q];
  }
  if (y) *(Pack*)(y + to) = out;
  if (tap) *(Taps*)(tap + to) = taps;
}

extern "C" __global__ void max_pool_grad(
    const REAL* __restrict__ g, const TAP* __restrict__ tap, const __grid_constant__ Window w,
    REAL* __restrict__ x, int C) {
  Spot o = own_spot(w.H, w.W, C);
  if (o.outside) return;
  Wide sum[PACK];
#pragma unroll
  for (int q = 0; q < PACK; q++) sum[q] = 0;
  Reach rows = windows_on(o.row, w.sh, w.dh, w.ph, w.KH, w.P);
  Reach columns = windows_on(o.column, w.sw, w.dw, w.pw, w.KW, w.Q);
  for (int i = rows.first; i <= rows.last; i++) {
    int down = o.row + w.ph - w.sh * i, u = down / w.dh;
    if (u * w.dh != down) continue;
    for (int j = columns.first; j <= columns.last; j++) {
      int right = o.column + w.pw - w.sw * j, v = right / w.dw;
      if (v * w.dw != right) continue;
      int64 from = place(o.n, i, j, o.c, w.P, w.Q, C);
      Pack p = *(const Pack*)(g + from);
      Taps t = *(const Taps*)(tap + from);
#pragma unroll
      for (int q = 0; q < PACK; q++) if (t.at[q] == (TAP)(u * w.KW + v)) sum[q] += wide(p.at[q]);
    }
  }
  Pack out;
#pragma unroll
  for (int q = 0; q < PACK; q++) out.at[q] = narrow<REAL>(sum[q]);
  *(Pack*)(x + place(o.n, o.row, o.column, o.c, w.H, w.W, C)) = out;
}

extern "C" __global__ void max_pool_take(
    const REAL* __restrict__ x, const TAP* __restrict__ tap, const __grid_constant__ Window w,
    REAL* __restrict__ y, int C) {
  Spot o = own_spot(w.P, w.Q, C);
  if (o.outside) return;
  int64 to = place(o.n, o.row, o.column, o.c, w.P, w.Q, C);
  Taps t = *(const Taps*)(tap + to);
  Pack out;
#pragma unroll
  for (int q = 0; q < PACK; q++) {
    bool none = t.at[q] >= (unsigned)w.KH * w.KW;
    int u = none ? 0 : t.at[q] / w.KW, v = none ? 0 : t.at[q] - u * w.KW;
    int h = w.sh * o.row + w.dh * u - w.ph, k = w.sw * o.column + w.dw * v - w.pw;
    none = none || h < 0 || h >= w.H || k < 0 || k >= w.W;
    out.at[q] = none ? narrow<REAL>(0) : x[place(o.n, h, k, o.c + q, w.H, w.W, C)];
  }
  *(Pack*)(y + to) = out;
}

// ---- the mean --------------------------------------------------------------------------------------

// div is `divisor`, or where that is 0 the number of taps between top and bottom, left and right.
struct Divide { int divisor, top, bottom, left, right; };

__device__ __forceinline__ Wide share(const Window& w, const Divide& by, int i, int j) {
  if (by.divisor) return (Wide)by.divisor;
  return (Wide)counted(i, w.sh, w.dh, w.ph, w.KH, by.top, by.bottom) *
         (Wide)counted(j, w.sw, w.dw, w.pw, w.KW, by.left, by.right);
}

extern "C" __global__ void avg_pool(
    const REAL* __restrict__ x, const __grid_constant__ Window w, int divisor, int top, int bottom,
    int left, int right, REAL* __restrict__ y, int C) {
  Spot o = own_spot(w.P, w.Q, C);
  if (o.outside) return;
  Wide sum[PACK];
#pragma unroll
  for (int q = 0; q < PACK; q++) sum[q] = 0;
  for (int u = 0; u < w.KH; u++) {
    int h = w.sh * o.row + w.dh * u - w.ph;
    if (h < 0 || h >= w.H) continue;
    Wide line_[PACK];  // a row of taps at a time: shorter sums round less
#pragma unroll
    for (int q = 0; q < PACK; q++) line_[q] = 0;
    for (int v = 0; v < w.KW; v++) {
      int k = w.sw * o.column + w.dw * v - w.pw;
      if (k < 0 || k >= w.W) continue;
      Pack p = *(const Pack*)(x + place(o.n, h, k, o.c, w.H, w.W, C));
#pragma unroll
      for (int q = 0; q < PACK; q++) line_[q] += wide(p.at[q]);
    }
#pragma unroll
    for (int q = 0; q < PACK; q++) sum[q] += line_[q];
  }
  Wide by = share(w, {divisor, top, bottom, left, right}, o.row, o.column);
  Pack out;
#pragma unroll
  for (int q = 0; q < PACK; q++) out.at[q] = narrow<REAL>(sum[q] / by);
  *(Pack*)(y + place(o.n, o.row, o.column, o.c, w.P, w.Q, C)) = out;
}

extern "C" __global__ void avg_pool_grad(
    const REAL* __restrict__ g, const __grid_constant__ Window w, int divisor, int top, int bottom,
    int left, int right, REAL* __restrict__ x, int C) {
  Spot o = own_spot(w.H, w.W, C);
  if (o.outside) return;
  Wide sum[PACK];
#pragma unroll
  for (int q = 0; q < PACK; q++) sum[q] = 0;
  Reach rows = windows_on(o.row, w.sh, w.dh, w.ph, w.KH, w.P);
  Reach columns = windows_on(o.column, w.sw, w.dw, w.pw, w.KW, w.Q);
  for (int i = rows.first; i <= rows.last; i++) {
    if ((o.row + w.ph - w.sh * i) % w.dh) continue;
    for (int j = columns.first; j <= columns.last; j++) {
      if ((o.column + w.pw - w.sw * j) % w.dw) continue;
      Wide by = share(w, {divisor, top, bottom, left, right}, i, j);
      Pack p = *(const Pack*)(g + place(o.n, i, j, o.c, w.P, w.Q, C));
#pragma unroll
      for (int q = 0; q < PACK; q++) sum[q] += wide(p.at[q]) / by;
    }
  }
  Pack out;
#pragma unroll
  for (int q = 0; q < PACK; q++) out.at[q] = narrow<REAL>(sum[q]);
  *(Pack*)(x + place(o.n, o.row, o.column, o.c, w.H, w.W, C)) = out;
}
