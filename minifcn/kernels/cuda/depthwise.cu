// depthwise.cu: the convolution triad where a group has few channels, down to one.
//
//   conv2d            y[n,i,j,o] = act(bias[o] + sum_{u,v,c} w[o,u,v,c] x[n, s i + d u - p, ..., c'])
//   conv_transpose2d  x[n,h,k,c] = act(bias[c] + sum of g[n,i,j,o'] w[o',u,v,c] over the taps that meet)
//   conv2d_weight     w[o,u,v,c] = sum_{n,i,j} g[n,i,j,o] x[n, s i + d u - p, ..., c']
//
// There is no matrix product to speak of: every channel is read for one group only, and the kernels
// are as fast as memory. Neighbouring threads own neighbouring channels, so reads are whole lines.
//
// conv2d            A thread owns RUN outputs of one channel, side by side: it reads a weight once.
//   Launch  ceil(N P ceil(Q / RUN) O / 256) blocks of 256 threads
//   Bytes   x and w once for each tap, mostly from the cache; y written once
// conv_transpose2d  A thread owns one number of x, and asks only the taps of its phase (conv.cuh).
//   Launch  ceil(N H W C / 256) blocks of 256 threads
//   Bytes   g once for each tap over s s, and w, mostly from the cache; x written once
// conv2d_weight     A block owns 32 pairs (o, c), TAPS taps and one part of the pixels; a thread a row
//                   of 8 of them. The 8 sums of a number are added in order, and so are the parts.
//   Launch  ceil(O C/G / 32) * ceil(KH KW / TAPS) by parts blocks of 32 x 8 threads
//   Bytes   g once for each TAPS taps, x once for each tap, mostly from the cache
// add_parts         Some threads own one number of w; see parts.cuh.
// REAL, WIDE        the element type, and that of sums: float for halves
// Builds  REAL=float|double WIDE=REAL
// Builds  REAL=half16|bfloat16 WIDE=float
#include "conv.cuh"
#include "parts.cuh"

constexpr int RUN = 4;
constexpr int TAPS = 9;
constexpr int PAIRS = 32, LINES = 8;

__device__ __forceinline__ REAL finished(WIDE sum, const REAL* bias, int32 channel, bool relu) {
  if (bias) sum += wide(bias[channel]);
  return narrow<REAL>(relu && sum <= 0 ? WIDE(0) : sum);  // a nan stays
}

extern "C" __global__ void conv2d(const REAL* x, const REAL* w, const REAL* bias, REAL* y,
                                  const __grid_constant__ Window window, int32 C, int32 O, bool relu, int64 n) {
  int64 at = line();
  if (at >= n) return;
  const Window& g = window;
  int64 rest = divide(at, O);
  int32 o = (int32)(at - rest * O), depth = C / g.groups, runs = (g.Q + RUN - 1) / RUN;
  int32 first = o / (O / g.groups) * depth;
  int64 row = divide(rest, runs);
  int32 j = (int32)(rest - row * runs) * RUN;
  int64 image = divide(row, g.P);
  int32 i = (int32)(row - image * g.P);

  WIDE sum[RUN] = {};
  for (int32 u = 0; u < g.KH; u++) {
    int32 h = g.sh * i + g.dh * u - g.ph;
    if (h < 0 || h >= g.H) continue;
    const REAL* line_of_x = x + (image * g.H + h) * g.W * C + first;
    for (int32 v = 0; v < g.KW; v++) {
      const REAL* weight = w + (((int64)o * g.KH + u) * g.KW + v) * depth;
      for (int32 c = 0; c < depth; c++) {
        WIDE factor = wide(weight[c]);
#pragma unroll
        for (int r = 0; r < RUN; r++) {
          int32 k = g.sw * (j + r) + g.dw * v - g.pw;
          if (0 <= k && k < g.W) sum[r] += factor * wide(line_of_x[(int64)k * C + c]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < RUN; r++)
    if (j + r < g.Q) y[(row * g.Q + j + r) * O + o] = finished(sum[r], bias, o, relu);
}

extern "C" __global__ void conv_transpose2d(const REAL* g, const REAL* w, const REAL* bias, REAL* x,
                                            const __grid_constant__ Window window,
                                            const __grid_constant__ Phases phases, int32 C, int32 O, bool relu,
                                            int64 n) {
  int64 at = line();
  if (at >= n) return;
  const Window& t = window;
  int64 pixel = divide(at, C);
  int32 channel = (int32)(at - pixel * C), columns = C / t.groups, depth = O / t.groups;
  int32 group = channel / columns, c = channel - group * columns;
  int64 row = divide(pixel, t.W), image = divide(row, t.H);
  int32 k = (int32)(pixel - row * t.W), h = (int32)(row - image * t.H);
  int32 over = h / t.sh, right = k / t.sw;  // where in its phase the pixel stands
  Axis down = phase_of(h - over * t.sh, t.H, t.P, t.KH, t.sh, t.dh, t.ph, phases.period_h, phases.inverse_h);
  Axis across = phase_of(k - right * t.sw, t.W, t.Q, t.KW, t.sw, t.dw, t.pw, phases.period_w, phases.inverse_w);

  WIDE sum = 0;
  for (int32 a = 0; a < down.taps; a++) {
    int32 i = over + down.start + down.step * a, u = down.tap + down.tap_step * a;
    if (i < 0 || i >= t.P) continue;
    for (int32 b = 0; b < across.taps; b++) {
      int32 j = right + across.start + across.step * b, v = across.tap + across.tap_step * b;
      if (j < 0 || j >= t.Q) continue;
      const REAL* outputs = g + ((image * t.P + i) * t.Q + j) * O + group * depth;
      for (int32 o = 0; o < depth; o++) {
        int64 from = (((int64)(group * depth + o) * t.KH + u) * t.KW + v) * columns + c;
        sum += wide(outputs[o]) * wide(w[from]);
      }
    }
  }
  x[at] = finished(sum, bias, channel, relu);
}

// Part number t of the pixels is  length t <= pixel < length (t + 1).
extern "C" __global__ void __launch_bounds__(PAIRS * LINES)
conv2d_weight(const REAL* x, const REAL* g, WIDE* parts, const __grid_constant__ Window window, int64 N, int32 C,
              int32 O, int64 length, int64 pairs) {
  __shared__ WIDE shared[LINES][TAPS][PAIRS];
  const Window& t = window;
  int32 depth = C / t.groups, taps = t.KH * t.KW, pieces = (taps + TAPS - 1) / TAPS;
  uint32 block = blockIdx.x / pieces;
  int32 first = (blockIdx.x - block * pieces) * TAPS;
  int64 pair = (int64)block * PAIRS + threadIdx.x;  // (o, c)
  bool mine = pair < pairs;
  int32 o = mine ? (int32)divide(pair, depth) : 0, c = mine ? (int32)(pair - (int64)o * depth) : 0;
  int32 channel = o / (O / t.groups) * depth + c;

  WIDE sum[TAPS] = {};
  int64 from = blockIdx.y * length, to = min(from + length, N * t.P * t.Q);
  Odometer pixel = Odometer::at(from + threadIdx.y, max(t.P, 1), max(t.Q, 1));
  for (int64 at = from + threadIdx.y; at < to; at += LINES) {
    WIDE factor = wide(g[at * O + o]);
    const REAL* image = x + (int64)pixel.a * t.H * t.W * C + channel;
    int32 u = first / t.KW, v = first - u * t.KW;
#pragma unroll
    for (int a = 0; a < TAPS; a++) {
      int32 h = t.sh * pixel.b + t.dh * u - t.ph, k = t.sw * pixel.c + t.dw * v - t.pw;
      bool inside = first + a < taps && 0 <= h && h < t.H && 0 <= k && k < t.W;
      if (inside) sum[a] += factor * wide(image[((int64)h * t.W + k) * C]);
      if (++v == t.KW) v = 0, u++;
    }
    pixel.advance(LINES, t.P, t.Q);
  }
#pragma unroll
  for (int a = 0; a < TAPS; a++) shared[threadIdx.y][a][threadIdx.x] = sum[a];
  __syncthreads();
  for (int a = threadIdx.y; a < TAPS; a += LINES) {
    if (!mine || first + a >= taps) continue;
    WIDE total = 0;
    for (int r = 0; r < LINES; r++) total += shared[r][a][threadIdx.x];
    parts[((blockIdx.y * (int64)O + o) * taps + first + a) * depth + c] = total;
  }
}

extern "C" __global__ void add_parts(const WIDE* parts, REAL* w, int64 count, int64 n) {
  add_parts_of(parts, w, count, n);
}
