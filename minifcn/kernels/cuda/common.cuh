// common.cuh: the element types of the kernels, how sums are made, and the geometry structs.
//
// A file is compiled once per element type: the launcher defines REAL (and LABEL, WORD, ...) as one
// of the types below. Half precision is storage only: it is widened to float where it is loaded.
#pragma once
#ifndef CUDA_EMU
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#endif

typedef __half half16;
typedef __nv_bfloat16 bfloat16;
typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;
struct alignas(16) uint128 { uint64 low, high; };  // only moved
typedef signed char int8;
typedef short int16;
typedef int int32;
typedef long long int64;

// The type in which one computes with elements of another: float for halves, else the same.
template <class X> struct WideOf { typedef X type; };
template <> struct WideOf<half16> { typedef float type; };
template <> struct WideOf<bfloat16> { typedef float type; };

__device__ __forceinline__ float wide(half16 x) { return __half2float(x); }
__device__ __forceinline__ float wide(bfloat16 x) { return __bfloat162float(x); }
template <class X> __device__ __forceinline__ X wide(X x) { return x; }

template <class X> struct Narrow {
  template <class Y> static __device__ __forceinline__ X from(Y y) { return (X)y; }
};
template <> struct Narrow<half16> {
  template <class Y> static __device__ __forceinline__ half16 from(Y y) { return __float2half_rn((float)y); }
};
template <> struct Narrow<bfloat16> {
  template <class Y> static __device__ __forceinline__ bfloat16 from(Y y) { return __float2bfloat16((float)y); }
};
// narrow<REAL>(v): v rounded to an element, to nearest even
template <class X, class Y> __device__ __forceinline__ X narrow(Y y) { return Narrow<X>::from(y); }

// This thread's number in a launch over a line of elements. 64 bits: an image batch may have more
// than 2^31 numbers.
__device__ __forceinline__ int64 line() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }

// i / by for i >= 0. In 32 bits where that is enough, which is almost always: the 64-bit division of
// the GPU is a call of a hundred instructions, around which registers are saved.
__device__ __forceinline__ int64 divide(int64 i, int64 by) {
  if ((((uint64)i | (uint64)by) >> 32) == 0) return (int64)((uint32)i / (uint32)by);
  int64 quotient = 0;
  uint64 rest = 0;
#pragma unroll 1
  for (int bit = 62; bit >= 0; bit--) {  // as on paper
    rest = rest << 1 | (((uint64)i >> bit) & 1);
    if (rest >= (uint64)by) {
      rest -= (uint64)by;
      quotient |= (int64)1 << bit;
    }
  }
  return quotient;
}

// minifcn.window.Window: image H W, output P Q, kernel, strides, dilations, near pads, groups.
// Image pixel (h, k) meets tap (u, v) for output pixel (i, j) where
//   h = sh i + dh u - ph    k = sw j + dw v - pw
struct Window { int32 H, W, P, Q, KH, KW, sh, sw, dh, dw, ph, pw, groups; };

// A strided view of up to 6 axes, in elements; axis 0 is the slowest.
struct View { int32 ndim; int32 pad_; int64 size[6]; int64 stride[6]; };

// Places start + step k, k = 0, 1, ..., on each of up to 6 axes.
struct Grid { int64 start[6]; int64 step[6]; };

// Where element number i (in row order) of a view lies.
__device__ __forceinline__ int64 place(const View& v, int64 i) {
  int64 at = 0;
  for (int a = v.ndim - 1; a >= 0; a--) {
    int64 rest = i / v.size[a];
    at += (i - rest * v.size[a]) * v.stride[a];
    i = rest;
  }
  return at;
}
