// cuda_emu.h: CUDA C for a C++ compiler of the host, as far as minifcn's kernels use it.
//
// Speed, caches, bank conflicts, occupancy and weak memory order are not modelled; nor are spin
// waits, grid barriers, fused multiply-add (results differ by rounding) and fast intrinsics.
#pragma once
#define CUDA_EMU 1
#include <math.h>
#include <string.h>

#include <type_traits>
#include <utility>

#include "half.h"
#include "runtime.h"
#include "tensor_core.h"
#include "warp.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static __attribute__((section("emu_shared")))
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict
#define __grid_constant__

#define threadIdx (emu::here->thread)
#define blockIdx (emu::block.index)
#define blockDim (emu::block.size)
#define gridDim (emu::block.grid)
#define warpSize 32

// float2, float3, float4 and their like; two and four lie at multiples of their size, up to 16.
#define EMU_VECTOR(T, N) \
  struct alignas(2 * sizeof(T)) N##2 { T x, y; }; \
  struct N##3 { T x, y, z; }; \
  struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) N##4 { T x, y, z, w; }; \
  inline N##2 make_##N##2(T x, T y) { return {x, y}; } \
  inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; } \
  inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTOR(float, float)
EMU_VECTOR(double, double)
EMU_VECTOR(signed char, char)
EMU_VECTOR(unsigned char, uchar)
EMU_VECTOR(short, short)
EMU_VECTOR(unsigned short, ushort)
EMU_VECTOR(int, int)
EMU_VECTOR(unsigned, uint)
EMU_VECTOR(long long, longlong)
EMU_VECTOR(unsigned long long, ulonglong)

template <class T> inline T __ldg(const T* p) { return *p; }
template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }

inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }
inline int __float_as_int(float x) { return emu_bits<int>(x); }
inline float __int_as_float(int x) { return emu_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emu_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emu_bits<double>(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned __int128)a * b >> 64;
}

// ---- the way in from Python: build.py adds one pair of functions per kernel ------------------------

extern "C" char __start_emu_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_emu_shared[] __attribute__((weak, visibility("hidden")));

namespace emu {

template <class... A, size_t... I>
inline void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*(std::remove_reference_t<A>*)arguments[I]...);
}
template <class... A> inline void call(void (*kernel)(A...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>());
}

// The parameters of a kernel in characters: C (const) or P for a pointer; then the kind: f i u b,
// h half, e bfloat16, x a struct, v void; then the size in bytes.
template <class T> inline char* letters(char* s) {
  using E = std::remove_cv_t<std::remove_pointer_t<T>>;
  if (std::is_pointer_v<T>) *s++ = std::is_const_v<std::remove_pointer_t<T>> ? 'C' : 'P';
  *s++ = std::is_void_v<E> ? 'v' : std::is_same_v<E, __half> ? 'h' : std::is_same_v<E, __nv_bfloat16> ? 'e'
       : std::is_floating_point_v<E> ? 'f' : std::is_same_v<E, bool> ? 'b' : std::is_unsigned_v<E> ? 'u'
       : std::is_integral_v<E> ? 'i' : 'x';
  size_t size = 0;
  if constexpr (!std::is_void_v<E>) size = sizeof(E);
  for (size_t unit = 1000; unit; unit /= 10)
    if (size >= unit || unit == 1) *s++ = '0' + size / unit % 10;
  *s++ = ' ';
  return s;
}
template <class... A> inline const char* signature(void (*)(A...)) {
  static char text[16 * sizeof...(A) + 1];
  char* s = text;
  ((s = letters<A>(s)), ...);
  *s = 0;
  return text;
}

}  // namespace emu
