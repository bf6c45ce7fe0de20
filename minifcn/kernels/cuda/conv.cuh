// conv.cuh: a convolution, and every phase of a transposed one, are one kind of correlation.
//
// Along one axis, output pixel r lies at  out + out_step r.  Its a-th tap is tap  tap + tap_step a
// of the kernel, and meets source pixel  scale r + start + step a,  if there is one.
//
//   conv2d            the source is the image, every tap takes part:
//                     s i + d u - p
//   conv_transpose2d  the source is g. Image pixel h is met by tap u of g's pixel i where
//                     s i + d u = h + p.  The pixels h = a, a + s, a + 2 s, ... are phase a. With
//                     s' = s / gcd(s, d) and d' = d / gcd(s, d) they are met by the same taps
//                     u0, u0 + s', u0 + 2 s', ..., and from one such tap to the next i falls by d'.
//                     So no pixel is written twice, and no zero is put between the pixels of g.
#pragma once
#include "common.cuh"

struct Axis {
  int32 count, out, out_step;
  int32 size, scale, start, step;  // size: of the source
  int32 taps, tap, tap_step;
};

// What the phases of both axes share: s', and the inverse of d' modulo s'.
struct Phases { int32 period_h, period_w, inverse_h, inverse_w; };

__device__ __forceinline__ Axis axis_of(int32 H, int32 P, int32 K, int32 s, int32 d, int32 p) {
  return Axis{P, 0, 1, H, s, -p, d, K, 0, 1};
}

// Phase a of an image of H pixels. Its first tap solves  d u = a + p  modulo s, where that can be:
// u0 = (a + p) / gcd * inverse  modulo s'.
__device__ __forceinline__ Axis phase_of(int32 a, int32 H, int32 P, int32 K, int32 s, int32 d,
                                         int32 p, int32 period, int32 inverse) {
  int32 gcd = s / period;
  Axis axis{(H - a + s - 1) / s, a, s, P, 1, 0, -(d / gcd), 0, 0, period};
  if ((a + p) % gcd != 0) return axis;
  int64 u = (int64)((a + p) / gcd) * inverse % period;
  axis.tap = (int32)(u < 0 ? u + period : u);
  if (axis.tap < K) axis.taps = (K - 1 - axis.tap) / period + 1;
  axis.start = (int32)(((int64)a + p - (int64)d * axis.tap) / s);
  return axis;
}

// Three nested counters, the last one running: the (u, v, c) of a tap's channel, or the (n, i, j)
// of a pixel.
struct Odometer {
  int32 a, b, c;
  static __device__ __forceinline__ Odometer at(int64 i, int32 B, int32 C) {
    int64 outer = divide(i, C), first = divide(outer, B);
    return Odometer{(int32)first, (int32)(outer - first * B), (int32)(i - outer * C)};
  }
  __device__ __forceinline__ void advance(int32 by, int32 B, int32 C) {
    c += by;
    while (c >= C) {
      c -= C;
      if (++b == B) b = 0, a++;
    }
  }
};
