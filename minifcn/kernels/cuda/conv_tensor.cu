// conv_tensor.cu: conv2d and conv_transpose2d on tensor cores, as one matrix product without columns.
//
// Both gather: a pixel of the result is a sum over taps of pixels that are read, so with
//
//   m = (n, r, q)   a pixel of the result        k = (u, v, c)   a tap and a channel that is read
//
//   y[m, o] = act(bias[o] + sum_k x[n, s r + d u - p, s' q + d' v - p', c] w[o, u, v, c])
//
// it is one product of pixels by channels (see tensor_tile.cuh), whose left side is picked out of the
// image while it is loaded: im2col without the columns. What falls beside the image is zero. A
// transposed convolution is one such correlation for each phase of its image (see conv.cuh).
//
// A block owns BM pixels of one phase by BN channels of one group. To load, thread t owns chunk t % 4
// (16 bytes) of rows t / 4, t / 4 + THREADS / 4, ...: it walks along k, four chunks a step. The result
// leaves by 16 bytes too, if its channels allow.
//
// A sum that fills few blocks is cut into parts of `share` steps: each is written in float where y would
// have it, and conv_tensor_ends.cu add_parts adds them, first to last. Without parts, y is written.
//
// Launch  x: tiles of channels, then of pixels, phases, groups; y: parts
//         blocks of THREADS = 32 (BM / WM) (BN / WN), STAGES (1024 + 64 (BM + BN)) bytes of dynamic shared memory
// Bytes   x is read once per tile of channels and tap, nearly always from L2; w once per tile of pixels;
//         y is written once
// Memory  x: N H W (groups C), w: (groups O) KH KW C, y: N P Q (groups O); C is a multiple of CHUNK, the
//         reader pads it if need be, and x and w start at multiples of 16 bytes. Transposed, C are the
//         channels of g and O those of the image.
// Error   halves: that of rounding y. TF32: 5e-4 of the sum of |x w|, as x and w are rounded to 2^-11;
//         about 1e-6 of it for x and w that are TF32 numbers already.
// REAL    half16, bfloat16, or float for TF32
// BM BN   the tile
// Builds  REAL=half16|bfloat16|float BM=128 BN=128|64|32 from sm_80
// Builds  REAL=half16|bfloat16|float BM=64 BN=64 from sm_80
#include "tensor_tile.cuh"

// Where the first tap of a row's pixel reads: pixel (h, k), perhaps beside the image, and its offset.
struct Source { int64 at; int h, k; };
constexpr int NOWHERE = -(1 << 30);  // h of a row without a pixel: beside every image

// Channels o, o + 1, ... of a pixel that has O of them in this group, at `to`.
template <class T>
__device__ __forceinline__ void put(T* y, int64 to, int o, int O, const Chunk<T>& values) {
  constexpr int COUNT = 16 / sizeof(T);
  if (to < 0 || o >= O) return;
  if (O % COUNT == 0) {
    *(Chunk<T>*)(y + to + o) = values;
  } else {
#pragma unroll
    for (int e = 0; e < COUNT; e++)
      if (o + e < O) y[to + o + e] = values.at[e];
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
correlate(const REAL* __restrict__ x, const REAL* __restrict__ w, const REAL* __restrict__ bias,
          REAL* __restrict__ y, float* __restrict__ parts, Window window, Phases phases, bool transposed,
          bool relu, int32 N, int32 C, int32 O, int32 share) {
  extern __shared__ __align__(128) char room[];
  __shared__ Source sources[BM];
  __shared__ int64 results[BM];  // where the rows go; -1 for a row without a pixel
  const Window& W = window;
  const bool back = transposed;
  const int high = back ? min(W.sh, W.H) : 1, broad = back ? min(W.sw, W.W) : 1;  // phases
  const int64 largest = back ? (int64)N * ((W.H + W.sh - 1) / W.sh) * ((W.W + W.sw - 1) / W.sw) : (int64)N * W.P * W.Q;
  const int across = (O + BN - 1) / BN, down = (int)((largest + BM - 1) / BM);  // tiles
  const Odometer block = Odometer::at(blockIdx.x / across, high * broad, down);  // group, phase, tile of pixels
  const int first_channel = blockIdx.x % across * BN, group = block.a, phase = block.b;
  const int64 first_pixel = (int64)block.c * BM;
  const Axis a = back ? phase_of(phase / broad, W.H, W.P, W.KH, W.sh, W.dh, W.ph, phases.period_h, phases.inverse_h)
                      : axis_of(W.H, W.P, W.KH, W.sh, W.dh, W.ph);
  const Axis b = back ? phase_of(phase % broad, W.W, W.Q, W.KW, W.sw, W.dw, W.pw, phases.period_w, phases.inverse_w)
                      : axis_of(W.W, W.Q, W.KW, W.sw, W.dw, W.pw);
  const int64 pixels = (int64)N * a.count * b.count;
  if (first_pixel >= pixels) return;  // the phases differ by a row or a column

  const int height = back ? W.H : W.P, width = back ? W.W : W.Q;  // of the result
  const int64 pitch = (int64)W.groups * C;                                    // from pixel to pixel of x
  for (int r = threadIdx.x; r < BM; r += THREADS) {
    const bool real = first_pixel + r < pixels;
    const Odometer m = Odometer::at(real ? first_pixel + r : 0, a.count, b.count);  // n, r, q
    Source source;
    source.h = a.scale * m.b + a.start, source.k = b.scale * m.c + b.start;
    source.at = (((int64)m.a * a.size + source.h) * b.size + source.k) * pitch + (int64)group * C;
    if (!real) source.h = NOWHERE;
    sources[r] = source;
    const int64 pixel = ((int64)m.a * height + a.out + a.out_step * m.b) * width + b.out + b.out_step * m.c;
    results[r] = real ? (pixel * W.groups + group) * O : -1;
  }
  __syncthreads();

  const int chunk = threadIdx.x & 3, first_row = threadIdx.x >> 2, chunks = C / CHUNK;
  const int kernel = W.KH * W.KW * C;  // from row to row of w
  const REAL* weights = w + ((int64)group * O + first_channel) * kernel + (a.tap * W.KW + b.tap) * C;
  const int rows = O - first_channel;  // of w, from there on
  const int steps = (a.taps * b.taps * chunks + 3) / 4;
  const int begin = min(steps, (int)blockIdx.y * share), end = min(steps, begin + share);

  // where in k this thread is: a tap and a chunk of its channels; it goes on by four chunks
  const int taps = max(b.taps, 1), radix = max(chunks, 1);
  const Odometer four = Odometer::at(4, taps, radix);
  Odometer at = Odometer::at(4 * begin + chunk, taps, radix);
  auto load = [&](char* stage) {
    const bool inside = at.a < a.taps;
    const int dh = a.step * at.a, dk = b.step * at.b;
    const int64 tap = ((int64)dh * b.size + dk) * pitch + at.c * CHUNK;
#pragma unroll
    for (int i = 0; i < A_LOADS; i++) {
      const int row = first_row + i * (THREADS / 4);
      const Source from = sources[row];
      const unsigned h = from.h + dh, k = from.k + dk;
      const bool there = inside && h < (unsigned)a.size && k < (unsigned)b.size;
      cp_async16(stage + in_rows(row, chunk), there ? x + from.at + tap : x, there ? 16 : 0);
    }
    const REAL* weight = weights + (a.tap_step * at.a * W.KW + b.tap_step * at.b) * C + at.c * CHUNK;
#pragma unroll
    for (int i = 0; i < B_LOADS; i++) {
      const int row = first_row + i * (THREADS / 4);
      const bool there = inside && row < rows;
      cp_async16(stage + B_AT + in_rows(row, chunk), there ? weight + (int64)row * kernel : w, there ? 16 : 0);
    }
    add(at, four, taps, radix);
  };
  Sums sums = {};
  accumulate(sums, room, end - begin, load,
             [](Fragments& f, const char* a, const char* b, int slab) { fetch_rows(f, a, b, slab); });

  if (parts) {
    parts += blockIdx.y * (int64)N * height * width * W.groups * O;
    hand_out<float>(sums, room, [&](int row, int column, const Chunk<float>& values) {
      put(parts, results[row], first_channel + column, O, values);
    });
    return;
  }
#pragma unroll
  for (int j = 0; j < WN / 8; j++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const int o = first_channel + warp_column() + j * 8 + 2 * (lane() & 3) + (e & 1);
      const float add = bias && o < O ? wide(bias[group * O + o]) : 0.f;
#pragma unroll
      for (int i = 0; i < WM / 16; i++) {
        const float v = sums[i][j][e] + add;
        sums[i][j][e] = relu && v <= 0.f ? 0.f : v;
      }
    }
  hand_out<REAL>(sums, room, [&](int row, int column, const Chunk<REAL>& values) {
    put(y, results[row], first_channel + column, O, values);
  });
}
