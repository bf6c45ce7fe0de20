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
// Builds  REAL=float|half16|bfloat16 VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=128 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=floating VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=64 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=floating VECTOR_SOURCE=4|1 VECTOR_WEIGHT=4|1 ROWS=256 COLS=16 ACROSS=4 THREADS=256
#include "conv.cuh"
#include "tile.cuh"

// The source's side: rows are output pixels, steps are (a, b, c).
struct Source {
  typedef Stage<ROWS, VECTOR_SOURCE, true> Share;
  Share share;
  Axis h, v;
  int32 depth, channels;          // of the group, of the source
  const REAL* image[Share::COUNT];  // of this thread's rows; null past the last
  int32 y[Share::COUNT], x[Share::COUNT];
  Odometer tap;

  __device__ __forceinline__ Source(const REAL* source, Axis h, Axis v, int64 pixels, int64 first,
                                    int32 depth, int32 channels)
      : h(h), v(v), depth(depth), channels(channels) {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int64 m = first + share.m(l);
      bool inside = share.mine(l) && m < pixels;
      Odometer pixel = Odometer::at(inside ? m : 0, h.count, v.count);
      image[l] = inside ? source + pixel.a * ((int64)h.size * v.size * channels) : nullptr;
      y[l] = h.scale * pixel.b + h.start;
      x[l] = v.scale * pixel.c + v.start;
    }
    tap = Odometer{0, 0, 0};
    tap.advance(share.k(0), v.taps, max(depth, 1));
  }
  __device__ __forceinline__ void load() {
    int32 down = h.step * tap.a, right = v.step * tap.b;
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int32 i = y[l] + down, j = x[l] + right;
      bool inside = image[l] && tap.a < h.taps && (uint32)i < (uint32)h.size && (uint32)j < (uint32)v.size;
      share.load(l, inside ? image[l] + ((int64)i * v.size + j) * channels + tap.c : nullptr);
    }
    tap.advance(DEPTH, v.taps, depth);
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
  Axis h, v;
  int32 KH, KW, depth, columns;  // O/G and C/G
  const REAL* w;               // at this thread's column; null past the last
  Odometer tap[Share::COUNT];

  __device__ __forceinline__ Transposed(const REAL* weight, Axis h, Axis v, int32 KH, int32 KW, int32 depth,
                                        int32 columns, int32 first)
      : h(h), v(v), KH(KH), KW(KW), depth(depth), columns(columns) {
    int32 c = first + share.m(0);
    w = c < columns ? weight + c : nullptr;
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      tap[l] = Odometer{0, 0, 0};
      tap[l].advance(share.k(l), v.taps, max(depth, 1));
    }
  }
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int64 u = h.tap + h.tap_step * tap[l].a, q = v.tap + v.tap_step * tap[l].b;
      bool inside = w && share.mine(l) && tap[l].a < h.taps;
      share.load(l, inside ? w + ((tap[l].c * (int64)KH + u) * KW + q) * columns : nullptr);
      tap[l].advance(DEPTH, v.taps, depth);
    }
  }
  __device__ __forceinline__ void store(Wide (*tile)[COLS + 4]) const { share.store(tile); }
};

// A block's place among the tiles: the column tile runs fastest, then the row tile, phase and group.
struct Block {
  int32 column, phase, group;
  int64 row;
  __device__ __forceinline__ Block(int32 columns, int64 rows, int32 phases) {
    uint32 wide = (columns + COLS - 1) / COLS, high = (uint32)((rows + ROWS - 1) / ROWS);
    uint32 rest = blockIdx.x / wide, part = rest / high;
    column = (blockIdx.x - rest * wide) * COLS;
    row = (int64)(rest - part * high) * ROWS;
    group = part / phases;
    phase = part - group * phases;
  }
};

// Bias, ReLU, and out: `channels` of a pixel, of which the group's begin at `out` and `bias`.
__device__ __forceinline__ void finish(const Sums& sums, const Axis& h, const Axis& v, int64 pixels, int64 row,
                                       int32 columns, int32 column, const REAL* bias, bool relu, REAL* out,
                                       int32 H, int32 W, int32 channels) {
  bool whole = columns % 4 == 0 && channels % 4 == 0;
  Odometer pixel = Odometer::at(row + Sums::m(0), h.count, v.count);
#pragma unroll
  for (int i = 0; i < MINE_M; i++) {
    if (i) pixel.advance(Sums::m(i) - Sums::m(i - 1), h.count, v.count);
    if (row + Sums::m(i) >= pixels) return;
    int64 y = h.out + h.out_step * pixel.b, x = v.out + v.out_step * pixel.c;
    REAL* to = out + ((pixel.a * (int64)H + y) * W + x) * channels;
#pragma unroll
    for (int j = 0; j < MINE_N; j += 4) {
      int32 o = column + Sums::n(j);
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
       const Window window, int64 N, int32 C, int32 O, bool relu) {
  __shared__ Tiles tiles[2];
  const Window& g = window;
  int32 depth = C / g.groups, columns = O / g.groups;
  int64 pixels = N * g.P * g.Q;
  Block block(columns, pixels, 1);
  Axis h = axis_of(g.H, g.P, g.KH, g.sh, g.dh, g.ph), v = axis_of(g.W, g.Q, g.KW, g.sw, g.dw, g.pw);
  int32 steps = g.KH * g.KW * depth, first = block.group * columns;
  Source a(x + (int64)block.group * depth, h, v, pixels, block.row, depth, C);
  Forward b(w + (int64)first * steps, columns, block.column, steps);
  Sums sums;
  product(a, b, (steps + DEPTH - 1) / DEPTH, tiles, sums);
  finish(sums, h, v, pixels, block.row, columns, block.column, bias ? bias + first : nullptr, relu, y + first,
         g.P, g.Q, O);
}

extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
conv_transpose2d(const REAL* __restrict__ g, const REAL* __restrict__ w, const REAL* __restrict__ bias, REAL* x,
                 const Window window, const Phases phases, int64 N, int32 C, int32 O, bool relu) {
  __shared__ Tiles tiles[2];
  const Window& t = window;
  int32 depth = O / t.groups, columns = C / t.groups;
  int32 high = min(t.sh, t.H), wide = min(t.sw, t.W);  // phases
  int64 largest = N * ((t.H + t.sh - 1) / t.sh) * ((t.W + t.sw - 1) / t.sw);
  Block block(columns, largest, high * wide);
  Axis h = phase_of(block.phase / wide, t.H, t.P, t.KH, t.sh, t.dh, t.ph, phases.period_h, phases.inverse_h);
  Axis v = phase_of(block.phase % wide, t.W, t.Q, t.KW, t.sw, t.dw, t.pw, phases.period_w, phases.inverse_w);
  int64 pixels = N * h.count * v.count;
  if (block.row >= pixels) return;  // a smaller phase: the whole block leaves
  int32 steps = h.taps * v.taps * depth, first = block.group * columns;
  Source a(g + (int64)block.group * depth, h, v, pixels, block.row, depth, O);
  Transposed b(w + (int64)block.group * depth * t.KH * t.KW * columns, h, v, t.KH, t.KW, depth, columns,
               block.column);
  Sums sums;
  product(a, b, (steps + DEPTH - 1) / DEPTH, tiles, sums);
  finish(sums, h, v, pixels, block.row, columns, block.column, bias ? bias + first : nullptr, relu, x + first,
         t.H, t.W, C);
}
