// half.h: __half (5 bits of exponent) and __nv_bfloat16 (8), stored as 16 bits, rounded to nearest
// even. The few names of cuda_fp16.h and cuda_bf16.h that kernels use.
#pragma once
#include <string.h>

template <class To, class From> inline To emu_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "as many bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

inline float emu_widened(unsigned short h) {
  unsigned rest = h & 0x7FFFu, sign = (h & 0x8000u) << 16;
  if (rest >= 0x7C00u) return emu_bits<float>(sign | 0x7F800000u | rest << 13);  // inf, nan
  float x = emu_bits<float>(rest << 13) * 0x1p112f;  // exact, also where the half is subnormal
  return emu_bits<float>(emu_bits<unsigned>(x) | sign);
}

inline unsigned short emu_halved(float x) {
  unsigned bits = emu_bits<unsigned>(x), rest = bits & 0x7FFFFFFFu;
  unsigned short sign = bits >> 16 & 0x8000u;
  if (rest > 0x7F800000u) return 0x7FFF;                // nan
  if (rest >= 0x477FF000u) return sign | 0x7C00;        // 65520 and more round to infinity
  if (rest < 0x38800000u)                               // below 2^-14: whole multiples of 2^-24
    return sign | (emu_bits<unsigned>(emu_bits<float>(rest) + 0.5f) - 0x3F000000u);
  return sign | (rest + 0xFFFu + (rest >> 13 & 1) - 0x38000000u) >> 13;
}

struct __half {
  unsigned short bits;
  __half() = default;
  __half(float x) : bits(emu_halved(x)) {}
  operator float() const { return emu_widened(bits); }
};
typedef __half half;

struct __nv_bfloat16 {
  unsigned short bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float x) {
    unsigned b = emu_bits<unsigned>(x);
    bits = x != x ? 0x7FFF : (b + 0x7FFFu + (b >> 16 & 1)) >> 16;
  }
  operator float() const { return emu_bits<float>((unsigned)bits << 16); }
};

inline __half __float2half_rn(float x) { return x; }
inline __half __float2half(float x) { return x; }
inline float __half2float(__half x) { return x; }
inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
