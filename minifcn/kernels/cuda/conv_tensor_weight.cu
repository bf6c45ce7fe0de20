// conv_tensor_weight.cu: conv2d_weight on tensor cores, split over blocks, added up in a fixed order.
//
//   w[o, (u, v, c)] = sum_m g[m, o] x[n, s i + d u - p, s' j + d' v - p', c]      m = (n, i, j)
//
// is a product over pixels: here they are the k of tensor_tile.cuh, and both tiles lie in columns, one
// line of channels for each pixel. What a tap reads beside the image is zero.
//
// A block owns BM channels o by BN columns (u, v, c) of one group, and a part of the pixels: `share`
// steps of BK. It writes its part in float, and conv_tensor_ends.cu add_parts adds them, first to last:
// no atomics, the same bits every time. Without parts, w is written. To load, a thread owns one chunk of
// columns, so one tap, and every (THREADS / chunks)-th pixel.
//
// Launch  x: tiles of o, then of columns, groups; y: parts
//         blocks of THREADS, STAGES (1024 + 64 (BM + BN)) bytes of dynamic shared memory
// Bytes   g once per tile of columns; x once per tap and tile of o, nearly always from L2; parts, which
//         are floats, once written and once read
// Memory  x: N H W (groups C), g: N P Q (groups padded), w: (groups O) KH KW C, parts: as w, one after
//         another; C and padded, which is O or a little more, are multiples of CHUNK; x and g start at
//         multiples of 16 bytes
// Error   as conv_tensor.cu
// REAL    half16, bfloat16, or float for TF32
// BM BN   the tile
// Builds  REAL=half16|bfloat16|float BM=128 BN=128|64 from sm_80
// Builds  REAL=half16|bfloat16|float BM=64 BN=64 from sm_80
// Builds  REAL=half16|bfloat16|float BM=32 BN=128 from sm_80
#include "tensor_tile.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
correlate_weight(const REAL* __restrict__ x, const REAL* __restrict__ g, REAL* __restrict__ w,
                 float* __restrict__ parts, Window window, int32 N, int32 C, int32 O, int32 padded, int64 share) {
  extern __shared__ __align__(128) char room[];
  const Window& W = window;
  const int64 pixels = (int64)N * W.P * W.Q;
  const int64 begin = min(pixels, (int64)blockIdx.y * share * BK), end = min(pixels, begin + share * BK);
  const int columns = W.KH * W.KW * C;
  const int down = (O + BM - 1) / BM, across = (columns + BN - 1) / BN;  // tiles
  const int rest = blockIdx.x / down, group = rest / across;
  const int first_o = blockIdx.x % down * BM, first_column = rest % across * BN;

  // chunks of a line, the one this thread moves, and its first line
  constexpr int A_CHUNKS = BM / CHUNK, B_CHUNKS = BN / CHUNK;
  static_assert(THREADS % A_CHUNKS == 0 && THREADS % B_CHUNKS == 0, "a thread keeps its chunk");
  const int a_chunk = threadIdx.x % A_CHUNKS, a_line = threadIdx.x / A_CHUNKS;
  const int b_chunk = threadIdx.x % B_CHUNKS, b_line = threadIdx.x / B_CHUNKS;

  const int o = first_o + a_chunk * CHUNK;
  const bool some_o = o < padded;
  const int64 g_pitch = (int64)W.groups * padded, x_pitch = (int64)W.groups * C;
  const REAL* from = g + (begin + a_line) * g_pitch + (int64)group * padded + o;

  const int column = first_column + b_chunk * CHUNK;
  const bool some_column = column < columns;
  const int tap = some_column ? column / C : 0;
  const int dh = tap / W.KW * W.dh - W.ph, dk = tap % W.KW * W.dw - W.pw;
  const REAL* base = x + (int64)group * C + (column - tap * C);

  const int P = max(W.P, 1), Q = max(W.Q, 1);
  const Odometer step = Odometer::at(BK, P, Q);
  Odometer at[B_LOADS];  // the pixels (n, i, j) that this thread loads next
#pragma unroll
  for (int i = 0; i < B_LOADS; i++) at[i] = Odometer::at(begin + b_line + i * (THREADS / B_CHUNKS), P, Q);
  int64 left = end - begin;  // pixels to load

  auto load = [&](char* stage) {
#pragma unroll
    for (int i = 0; i < A_LOADS; i++) {
      const int line = a_line + i * (THREADS / A_CHUNKS);
      const bool there = some_o && line < left;
      const REAL* source = there ? from + i * (THREADS / A_CHUNKS) * g_pitch : g;
      cp_async16(stage + in_columns<BM>(line, a_chunk), source, there ? 16 : 0);
    }
#pragma unroll
    for (int i = 0; i < B_LOADS; i++) {
      const int line = b_line + i * (THREADS / B_CHUNKS);
      const int h = W.sh * at[i].b + dh, k = W.sw * at[i].c + dk;
      const bool inside = (unsigned)h < (unsigned)W.H && (unsigned)k < (unsigned)W.W;
      const bool there = inside && some_column && line < left;
      const REAL* source = there ? base + (((int64)at[i].a * W.H + h) * W.W + k) * x_pitch : x;
      cp_async16(stage + B_AT + in_columns<BN>(line, b_chunk), source, there ? 16 : 0);
      add(at[i], step, P, Q);
    }
    from += BK * g_pitch;
    left -= BK;
  };
  Sums sums = {};
  accumulate(sums, room, (end - begin + BK - 1) / BK, load,
             [](Fragments& f, const char* a, const char* b, int slab) { fetch_columns(f, a, b, slab); });

  if (parts) {
    parts += (int64)blockIdx.y * W.groups * O * columns;
    hand_out<float>(sums, room, [&](int row, int column, const Chunk<float>& values) {
      const int to = first_column + column;
      if (first_o + row < O && to < columns)
        *(Chunk<float>*)(parts + ((int64)group * O + first_o + row) * columns + to) = values;
    });
  } else {
    hand_out<REAL>(sums, room, [&](int row, int column, const Chunk<REAL>& values) {
      const int to = first_column + column;
      if (first_o + row < O && to < columns)
        *(Chunk<REAL>*)(w + ((int64)group * O + first_o + row) * columns + to) = values;
    });
  }
}
