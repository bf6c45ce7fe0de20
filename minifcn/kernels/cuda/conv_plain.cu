// conv_plain.cu: conv2d and conv_transpose2d as a matrix product whose columns are never stored.
//
//   out[n, r, q, o] = act(bias[o] + sum_{a,b,c} source[n, y(r, a), x(q, b), c] w[...])
//
// The rows of the product are output pixels (n, r, q), its columns the output channels of a group, its
// steps the (a, b, c): taps and the source's channels of the group. conv.cuh says which source pixel
// y, x a tap meets. A transposed convolution is one such correlation for each phase of its image.
//
// A block owns ROWS pixels x COLS channels of one group and one phase (tile.cuh); it reads the
// source's pixels and the weight where they lie, 4 channels at once if VECTOR_... is 4.
//
// Launch  groups * phases * ceil(pixels of the largest phase / ROWS) * ceil(channels / COLS) blocks of
//         THREADS threads; neighbours share their pixels
// Bytes   the source ceil(channels / COLS) times and once more for each tap, both mostly from the
//         cache; the weight ceil(pixels / ROWS) times, from the cache; out written once
// REAL                              the element type; halves are multiplied and summed as floats
// VECTOR_SOURCE, VECTOR_WEIGHT      4 or 1: channels of one load
// ROWS, COLS, ACROSS, THREADS       the tiles
// Builds  REAL=float|half16|bfloat16 VECTOR_SOURCE=4 VECTOR_WEIGHT=4 ROWS=128 COLS=128 ACROSS=16 THREADS=256
// Builds  REAL=float|half16|bfloat16 VECTOR_SOURCE=4 VECTOR_WEIGHT=4 ROWS=128 COLS=64 ACROSS=8 THREADS=128
// Builds  REAL=float|half16|bfloat16 VECTOR_SOURCE=4 VECTOR_WEIGHT=4 ROWS=256 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=float|half16|bfloat16 VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=128 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=floating VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=128 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=floating VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=64 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=float|half16|bfloat16 VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=256 COLS=16 ACROSS=4 THREADS=256
// Stack   conv2d: what a long sum had so far; no register is left (tile.cuh)
// Stack   conv_transpose2d: what a long sum had so far; no register is left (tile.cuh)
#include "conv.cuh"
#include "tile.cuh"

// What a block owns. It stays in shared memory, as the registers are for the sums.
struct Place {
  Axis h, v;
  int64 pixels, row;  // of the phase, of which this is the block's first
  int32 column, phase, group;

  // The column tile runs fastest, then the row tile, phase and group.
  __device__ __forceinline__ void find(int32 columns, int64 largest, int32 phases) {
    uint32 across = (columns + COLS - 1) / COLS, down = (uint32)((largest + ROWS - 1) / ROWS);
    uint32 rest = blockIdx.x / across, part = rest / down;
    column = (blockIdx.x - rest * across) * COLS;
    row = (int64)(rest - part * down) * ROWS;
    group = part / phases;
    phase = part - group * phases;
  }
};

// The source's side: rows are output pixels, steps are (a, b, c).
struct Source {
  typedef Stage<ROWS, VECTOR_SOURCE, true> Share;
  Share share;
  int32 high, wide, H, W, down, right;  // taps, size of the source, step from tap to tap
  int32 depth, channels;                // of the group, of the source
  const REAL* image[Share::COUNT];      // of this thread's rows; null past the last
  int32 y[Share::COUNT], x[Share::COUNT];
  Odometer tap;

  __device__ __forceinline__ Source(const REAL* source, const Place& place, int32 H, int32 W, int32 depth,
                                    int32 channels)
      : high(place.h.taps), wide(place.v.taps), H(H), W(W), down(place.h.step), right(place.v.step),
        depth(depth), channels(channels) {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int64 m = place.row + share.m(l);
      bool inside = share.mine(l) && m < place.pixels;
      Odometer pixel = Odometer::at(inside ? m : 0, place.h.count, place.v.count);
      image[l] = inside ? source + pixel.a * ((int64)H * W * channels) : nullptr;
      y[l] = place.h.scale * pixel.b + place.h.start;
      x[l] = place.v.scale * pixel.c + place.v.start;
    }
    tap = Odometer{0, 0, 0};
    tap.advance(share.k(0), wide, max(depth, 1));
  }
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int32 i = y[l] + down * tap.a, j = x[l] + right * tap.b;
      bool inside = image[l] && tap.a < high && (uint32)i < (uint32)H && (uint32)j < (uint32)W;
      share.load(l, inside ? image[l] + ((int64)i * W + j) * channels + tap.c : nullptr);
    }
    tap.advance(DEPTH, wide, depth);
  }
  __device__ __forceinline__ void store(Wide (*tile)[ROWS + 4]) const { share.store(tile); }
};

// The weight O KH KW C/G of conv2d: columns are o, steps (u, v, c) as they lie.
struct Forward {
  typedef Stage<COLS, VECTOR_WEIGHT, true> Share;
  Share share;
  const REAL* at[Share::COUNT];  // null past the last column
  int32 k, steps;

  __device__ __forceinline__ Forward(const REAL* w, int32 columns, int32 first, int32 steps)
      : k(share.k(0)), steps(steps) {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int32 o = first + share.m(l);
      at[l] = share.mine(l) && o < columns ? w + (int64)o * steps : nullptr;
    }
  }
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) share.load(l, at[l] && k < steps ? at[l] + k : nullptr);
    k += DEPTH;
  }
  __device__ __forceinline__ void store(Wide (*tile)[COLS + 4]) const { share.store(tile); }
};

// The same weight for conv_transpose2d: columns are c, steps (a, b, o).
struct Transposed {
  typedef Stage<COLS, VECTOR_WEIGHT, false> Share;
  Share share;
  const REAL* w;  // at this thread's column and the phase's first tap; null past the last column
  int32 KH, KW, down, right;  // from one tap of the phase to the next
  int32 high, wide, depth, columns;  // taps of the phase, O/G and C/G
  Odometer tap[Share::COUNT];

  __device__ __forceinline__ Transposed(const REAL* weight, const Place& place, const Phases& phases, int32 KH,
                                        int32 KW, int32 depth, int32 columns)
      : KH(KH), KW(KW), down(phases.period_h), right(phases.period_w), high(place.h.taps),
        wide(place.v.taps), depth(depth), columns(columns) {
    int32 c = place.column + share.m(0);
    w = c < columns ? weight + ((int64)place.h.tap * KW + place.v.tap) * columns + c : nullptr;
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      tap[l] = Odometer{0, 0, 0};
      tap[l].advance(share.k(l), wide, max(depth, 1));
    }
  }
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int64 at = (tap[l].c * (int64)KH + tap[l].a * down) * KW + tap[l].b * right;
      share.load(l, w && share.mine(l) && tap[l].a < high ? w + at * columns : nullptr);
      tap[l].advance(DEPTH, wide, depth);
    }
  }
  __device__ __forceinline__ void store(Wide (*tile)[COLS + 4]) const { share.store(tile); }
};

// Bias, ReLU, and out: `channels` of a pixel, of which the group's `columns` begin at `out` and `bias`.
__device__ __forceinline__ void finish(const Sums& sums, const Place& place, int32 columns, const REAL* bias,
                                       bool relu, REAL* out, int32 H, int32 W, int32 channels) {
  const Axis &h = place.h, &v = place.v;
  bool whole = columns % 4 == 0 && channels % 4 == 0;
  Odometer pixel = Odometer::at(place.row + Sums::m(0), h.count, v.count);
#pragma unroll
  for (int i = 0; i < MINE_M; i++) {
    if (i) pixel.advance(Sums::m(i) - Sums::m(i - 1), h.count, v.count);
    if (place.row + Sums::m(i) >= place.pixels) return;
    int64 y = h.out + h.out_step * pixel.b, x = v.out + v.out_step * pixel.c;
    REAL* to = out + ((pixel.a * (int64)H + y) * W + x) * channels;
#pragma unroll
    for (int j = 0; j < MINE_N; j += 4) {
      int32 o = place.column + Sums::n(j);
      Wide made[4];
#pragma unroll
      for (int k = 0; k < 4; k++) {
        Wide sum = sums.at[i][j + k];
        if (bias && o + k < columns) sum += wide(bias[o + k]);
        made[k] = relu && sum <= Wide(0) ? Wide(0) : sum;  // a nan stays
      }
      if (o < columns) put(to + o, made, columns - o, whole);
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
conv2d(const REAL* __restrict__ x, const REAL* __restrict__ w, const REAL* __restrict__ bias, REAL* y,
       const Window window, int64 N, int32 C, int32 O, int32 depth, int32 columns, bool relu) {
  __shared__ Tiles tiles[2];
  __shared__ Place place;
  const Window& t = window;
  int32 steps = t.KH * t.KW * depth;
  if (threadIdx.x == 0) {
    place.pixels = N * t.P * t.Q;
    place.find(columns, place.pixels, 1);
    place.h = axis_of(t.H, t.P, t.KH, t.sh, t.dh, t.ph);
    place.v = axis_of(t.W, t.Q, t.KW, t.sw, t.dw, t.pw);
  }
  __syncthreads();
  Source a(x + (int64)place.group * depth, place, t.H, t.W, depth, C);
  Forward b(w + (int64)place.group * columns * steps, columns, place.column, steps);
  Sums sums;
  product(a, b, (steps + DEPTH - 1) / DEPTH, tiles, sums);
  int32 first = place.group * columns;
  finish(sums, place, columns, bias ? bias + first : nullptr, relu, y + first, t.P, t.Q, O);
}

extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
conv_transpose2d(const REAL* __restrict__ g, const REAL* __restrict__ w, const REAL* __restrict__ bias, REAL* x,
                 const Window window, const Phases phases, int64 N, int32 C, int32 O, int32 depth, int32 columns,
                 bool relu) {
  __shared__ Tiles tiles[2];
  __shared__ Place place;
  const Window& t = window;
  if (threadIdx.x == 0) {
    int32 high = min(t.sh, t.H), wide = min(t.sw, t.W);  // phases
    place.find(columns, N * ((t.H + t.sh - 1) / t.sh) * ((t.W + t.sw - 1) / t.sw), high * wide);
    int32 a = place.phase / wide, b = place.phase - a * wide;
    place.h = phase_of(a, t.H, t.P, t.KH, t.sh, t.dh, t.ph, phases.period_h, phases.inverse_h);
    place.v = phase_of(b, t.W, t.Q, t.KW, t.sw, t.dw, t.pw, phases.period_w, phases.inverse_w);
    place.pixels = N * place.h.count * place.v.count;
  }
  __syncthreads();
  if (place.row >= place.pixels) return;  // a smaller phase: the whole block leaves
  Source a(g + (int64)place.group * depth, place, t.P, t.Q, depth, O);
  Transposed b(w + (int64)place.group * depth * t.KH * t.KW * columns, place, phases, t.KH, t.KW, depth,
               columns);
  Sums sums;
  product(a, b, (place.h.taps * place.v.taps * depth + DEPTH - 1) / DEPTH, tiles, sums);
  int32 first = place.group * columns;
  finish(sums, place, columns, bias ? bias + first : nullptr, relu, x + first, t.H, t.W, C);
}
