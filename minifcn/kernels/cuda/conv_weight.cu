// conv_weight.cu: the gradient of a convolution's weight, as a matrix product over all pixels.
//
//   w[o, u, v, c] = sum_{n,i,j} g[n, i, j, o] x[n, s i + d u - p, s j + d v - p, c]
//
// The rows of the product are the output channels o of a group, its columns the (u, v, c) as the
// weight lies, its steps the output pixels (n, i, j). There are many steps and few sums, so the pixels
// are divided into parts: every block adds up its part, and a second kernel adds the parts in order.
// The same bits every time, and no float atomics.
//
// conv2d_weight
//   A block owns ROWS x COLS sums of one part (tile.cuh).
//   Launch  parts * groups * ceil(O/G / ROWS) * ceil(KH KW C/G / COLS) blocks of THREADS threads
//   Bytes   g once for each column tile, x once for each row tile and tap, mostly from the cache;
//           the sums of every part written once
// add_parts
//   Some threads own one number of w; see parts.cuh.
//   Bytes   the sums of every part read once, w written once
// REAL, WIDE                  the element type, and that of sums: float for halves
// VECTOR_ROWS, VECTOR_COLUMNS   4 or 1: channels of one load, of g and of x
// ROWS, COLS, ACROSS, THREADS the tiles
// Builds  REAL=float WIDE=REAL VECTOR_ROWS=4 VECTOR_COLUMNS=4 ROWS=128 COLS=128 ACROSS=16 THREADS=256
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4 VECTOR_COLUMNS=4 ROWS=128 COLS=128 ACROSS=16 THREADS=256
// Builds  REAL=float WIDE=REAL VECTOR_ROWS=4 VECTOR_COLUMNS=4 ROWS=128 COLS=64 ACROSS=8 THREADS=128
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4 VECTOR_COLUMNS=4 ROWS=128 COLS=64 ACROSS=8 THREADS=128
// Builds  REAL=float WIDE=REAL VECTOR_ROWS=4 VECTOR_COLUMNS=4 ROWS=256 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4 VECTOR_COLUMNS=4 ROWS=256 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=float WIDE=REAL VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=128 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=128 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=float|double WIDE=REAL VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=128 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=128 COLS=32 ACROSS=8 THREADS=256
// Builds  REAL=float|double WIDE=REAL VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=64 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=64 COLS=64 ACROSS=16 THREADS=256
// Builds  REAL=float WIDE=REAL VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=256 COLS=16 ACROSS=4 THREADS=256
// Builds  REAL=half16|bfloat16 WIDE=float VECTOR_ROWS=4|1 VECTOR_COLUMNS=4|1 ROWS=256 COLS=16 ACROSS=4 THREADS=256
// Stack   conv2d_weight: what a long sum had so far; no register is left (tile.cuh)
#include "conv.cuh"
#include "parts.cuh"
#include "tile.cuh"

// g: rows are o, steps are pixels as they lie.
struct Outputs {
  typedef Stage<ROWS, VECTOR_ROWS, false> Share;
  Share share;
  const REAL* at;  // this thread's channel at pixel 0; null past the last
  int64 pixel, last;
  int32 O;

  __device__ __forceinline__ Outputs(const REAL* g, int32 rows, int32 first, int64 pixel, int64 last, int32 O)
      : pixel(pixel), last(last), O(O) {
    int32 o = first + share.m(0);
    at = o < rows ? g + o : nullptr;
  }
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int64 k = pixel + share.k(l);
      share.load(l, at && share.mine(l) && k < last ? at + k * O : nullptr);
    }
    pixel += DEPTH;
  }
  __device__ __forceinline__ void store(Wide (*tile)[ROWS + 4]) const { share.store(tile); }
};

// x: columns are (u, v, c), steps are output pixels, of which each meets one image pixel.
struct Image {
  typedef Stage<COLS, VECTOR_COLUMNS, false> Share;
  Share share;
  Window window;
  const REAL* x;  // at this thread's channel; null past the last column
  int32 C, down, right;  // of this thread's tap: d u - p
  Odometer at[Share::COUNT];
  int32 P, Q;  // at least 1, for the odometer
  int64 pixel, last;

  __device__ __forceinline__ Image(const REAL* image, const Window& window, int32 columns, int32 first,
                                   int64 pixel, int64 last, int32 C)
      : window(window), C(C), P(max(window.P, 1)), Q(max(window.Q, 1)), pixel(pixel), last(last) {
    int32 column = first + share.m(0), depth = max(C / window.groups, 1);
    Odometer tap = Odometer::at(column, window.KW, depth);
    x = column < columns ? image + tap.c : nullptr;
    down = window.dh * tap.a - window.ph;
    right = window.dw * tap.b - window.pw;
    Odometer start = Odometer::at(pixel, P, Q);
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      at[l] = start;
      at[l].advance(share.k(l), P, Q);
    }
  }
  __device__ __forceinline__ void load() {
#pragma unroll
    for (int l = 0; l < Share::COUNT; l++) {
      int32 h = window.sh * at[l].b + down, k = window.sw * at[l].c + right;
      bool inside = x && share.mine(l) && pixel + share.k(l) < last && (uint32)h < (uint32)window.H &&
                    (uint32)k < (uint32)window.W;
      share.load(l, inside ? x + ((at[l].a * (int64)window.H + h) * window.W + k) * C : nullptr);
      at[l].advance(DEPTH, P, Q);
    }
    pixel += DEPTH;
  }
  __device__ __forceinline__ void store(Wide (*tile)[COLS + 4]) const { share.store(tile); }
};

// Part number t of the pixels is  length t <= pixel < length (t + 1).
extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
conv2d_weight(const REAL* __restrict__ x, const REAL* __restrict__ g, WIDE* parts, const Window window, int64 N,
              int32 C, int32 O, int64 length) {
  __shared__ Tiles tiles[2];
  int32 rows = O / window.groups, columns = window.KH * window.KW * (C / window.groups);
  uint32 high = (rows + ROWS - 1) / ROWS, across = (columns + COLS - 1) / COLS;
  uint32 rest = blockIdx.x / across, over = rest / high, part = over / window.groups;
  int32 column = (blockIdx.x - rest * across) * COLS, row = (rest - over * high) * ROWS;
  int32 group = over - part * window.groups;

  int64 from = (int64)part * length, to = min(from + length, N * window.P * window.Q);
  Outputs a(g + (int64)group * rows, rows, row, from, to, O);
  Image b(x + (int64)group * (C / window.groups), window, columns, column, from, to, C);
  Sums sums;
  product(a, b, (int32)((to - from + DEPTH - 1) / DEPTH), tiles, sums);

  WIDE* w = parts + ((int64)part * O + (int64)group * rows) * columns;
  bool whole = columns % 4 == 0;
#pragma unroll
  for (int i = 0; i < MINE_M; i++) {
    int32 o = row + Sums::m(i);
#pragma unroll
    for (int j = 0; j < MINE_N; j += 4) {
      int32 k = column + Sums::n(j);
      if (o < rows && k < columns) put(w + (int64)o * columns + k, &sums.at[i][j], columns - k, whole);
    }
  }
}

extern "C" __global__ void add_parts(const WIDE* parts, REAL* w, int64 count, int64 n) {
  add_parts_of(parts, w, count, n);
}
