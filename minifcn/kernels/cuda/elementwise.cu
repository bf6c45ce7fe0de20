// elementwise.cu: one formula, applied to every element.
//
//   y[i] = f(a[i], b[i], c[i])
//
// A thread owns 16 bytes of y: one wide load per input, one wide store. What is left over at the end,
// or an array that does not start at 16 bytes, goes element by element.
//
// Launch  ceil(n / (256 * PACK)) blocks of 256 threads, PACK = 16 / sizeof(REAL)
// Bytes   every input read once, y written once
// REAL    the element type; halves are computed in float
// NUMBER  the type of a number beside an array: double beside fractions, which are rounded to REAL
//         then, and REAL beside whole numbers, of which a double would lose digits
// Builds  REAL=floating NUMBER=double FLOATING=1
// Builds  REAL=integer NUMBER=REAL
#include "common.cuh"

typedef WideOf<REAL>::type Wide;
constexpr int PACK = 16 / sizeof(REAL);
struct alignas(16) Pack { REAL at[PACK]; };

__device__ __forceinline__ bool aligned(const void* p) { return ((uint64)p & 15) == 0; }

// f gets one element of each input, for an input that is null that of a, and returns the result.
template <class F>
__device__ __forceinline__ void each(F f, const REAL* a, const REAL* b, const REAL* c, REAL* y, int64 n) {
  int64 first = line() * PACK;
  if (first >= n) return;
  bool whole = first + PACK <= n && aligned(a) && aligned(y) && (!b || aligned(b)) && (!c || aligned(c));
  if (whole) {
    Pack p = *(const Pack*)(a + first), q = p, r = p, out;
    if (b) q = *(const Pack*)(b + first);
    if (c) r = *(const Pack*)(c + first);
#pragma unroll
    for (int k = 0; k < PACK; k++) out.at[k] = narrow<REAL>(f(wide(p.at[k]), wide(q.at[k]), wide(r.at[k])));
    *(Pack*)(y + first) = out;
    return;
  }
  for (int64 i = first; i < n && i < first + PACK; i++) {
    Wide p = wide(a[i]);
    y[i] = narrow<REAL>(f(p, b ? wide(b[i]) : p, c ? wide(c[i]) : p));
  }
}

__device__ __forceinline__ float mf_exp(float x) { return expf(x); }
__device__ __forceinline__ double mf_exp(double x) { return exp(x); }
__device__ __forceinline__ float mf_log(float x) { return logf(x); }
__device__ __forceinline__ double mf_log(double x) { return log(x); }
__device__ __forceinline__ float mf_log1p(float x) { return log1pf(x); }
__device__ __forceinline__ double mf_log1p(double x) { return log1p(x); }
__device__ __forceinline__ float mf_tanh(float x) { return tanhf(x); }
__device__ __forceinline__ double mf_tanh(double x) { return tanh(x); }
__device__ __forceinline__ float mf_pow(float x, float e) { return powf(x, e); }
__device__ __forceinline__ double mf_pow(double x, double e) { return pow(x, e); }
__device__ __forceinline__ float mf_sqrt(float x) { return sqrtf(x); }
__device__ __forceinline__ double mf_sqrt(double x) { return sqrt(x); }

__device__ __forceinline__ bool is_nan(Wide x) { return x != x; }

// ---- two operands ------------------------------------------------------------------------------

extern "C" __global__ void add(const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide) { return p + q; }, a, b, nullptr, y, n);
}
extern "C" __global__ void subtract(const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide) { return p - q; }, a, b, nullptr, y, n);
}
extern "C" __global__ void multiply(const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide) { return p * q; }, a, b, nullptr, y, n);
}
// the larger; a nan wins
extern "C" __global__ void maximum(const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide) { return p > q || is_nan(p) ? p : q; }, a, b, nullptr, y, n);
}
extern "C" __global__ void minimum(const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide) { return p < q || is_nan(p) ? p : q; }, a, b, nullptr, y, n);
}
extern "C" __global__ void larger_grad(const REAL* gy, const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide g, Wide p, Wide q) { return p < q ? Wide(0) : p == q ? Wide(g / 2) : g; }, gy, a, b, y, n);
}

// ---- an operand and a number ---------------------------------------------------------------------

extern "C" __global__ void scale(const REAL* x, NUMBER factor, REAL* y, int64 n) {
  Wide by = (Wide)factor;
  each([=](Wide p, Wide, Wide) { return p * by; }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void shift(const REAL* x, NUMBER term, REAL* y, int64 n) {
  Wide by = (Wide)term;
  each([=](Wide p, Wide, Wide) { return p + by; }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void full(REAL* y, NUMBER value, int64 n) {
  Wide v = (Wide)value;
  int64 i = line();
  if (i < n) y[i] = narrow<REAL>(v);
}
// min(max(x, low), high); a nan stays
extern "C" __global__ void clamp(const REAL* x, NUMBER low, NUMBER high, REAL* y, int64 n) {
  Wide least = (Wide)low, most = (Wide)high;
  each([=](Wide p, Wide, Wide) {
    Wide up = p < least ? least : p;
    return up > most ? most : up;
  }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void clamp_grad(const REAL* gy, const REAL* x, NUMBER low, NUMBER high, REAL* y, int64 n) {
  Wide least = (Wide)low, most = (Wide)high;
  each([=](Wide g, Wide p, Wide) { return least <= p && p <= most ? g : Wide(0); }, gy, x, nullptr, y, n);
}

// ---- rectifiers ----------------------------------------------------------------------------------

// nan stays nan, as everywhere
extern "C" __global__ void relu(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return p <= Wide(0) ? Wide(0) : p; }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void relu_grad(const REAL* gy, const REAL* x, REAL* y, int64 n) {
  each([](Wide g, Wide p, Wide) { return p <= Wide(0) ? Wide(0) : g; }, gy, x, nullptr, y, n);
}
extern "C" __global__ void leaky_relu_grad(const REAL* gy, const REAL* x, double slope, REAL* y, int64 n) {
  Wide s = (Wide)slope;
  each([=](Wide g, Wide p, Wide) { return p > Wide(0) ? g : s * g; }, gy, x, nullptr, y, n);
}
extern "C" __global__ void prelu(const REAL* a, const REAL* x, const REAL* w, REAL* y, int64 n) {
  each([](Wide p, Wide x, Wide w) { return x > Wide(0) ? p : w * p; }, a, x, w, y, n);
}
extern "C" __global__ void prelu_weight(const REAL* a, const REAL* b, const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide x) { return x > Wide(0) ? Wide(0) : p * q; }, a, b, x, y, n);
}
extern "C" __global__ void absolute(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return p > Wide(0) ? p : Wide(Wide(0) - p); }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void sign(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return Wide((p > Wide(0)) - (p < Wide(0))); }, x, nullptr, nullptr, y, n);
}

// ---- masks ---------------------------------------------------------------------------------------

extern "C" __global__ void select(const bool* mask, const REAL* a, const REAL* b, REAL* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = mask[i] ? a[i] : b[i];
}
extern "C" __global__ void masked(const REAL* x, const bool* mask, bool keep, REAL* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = mask[i] == keep ? x[i] : narrow<REAL>(0);
}

#ifdef FLOATING
// ---- only where there are fractions ----------------------------------------------------------------

extern "C" __global__ void divide(const REAL* a, const REAL* b, REAL* y, int64 n) {
  each([](Wide p, Wide q, Wide) { return p / q; }, a, b, nullptr, y, n);
}
extern "C" __global__ void power(const REAL* x, double exponent, REAL* y, int64 n) {
  Wide e = (Wide)exponent;
  each([=](Wide p, Wide, Wide) {
    return e == Wide(2) ? p * p : e == Wide(-1) ? 1 / p : e == Wide(0.5) ? mf_sqrt(p) : mf_pow(p, e);
  }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void exponential(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return mf_exp(p); }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void logarithm(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return mf_log(p); }, x, nullptr, nullptr, y, n);
}
extern "C" __global__ void hyperbolic_tangent(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return mf_tanh(p); }, x, nullptr, nullptr, y, n);
}
// 1 / (1 + e^-x); where e^-x overflows the quotient is the 0 that it should be
extern "C" __global__ void sigmoid(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) { return 1 / (1 + mf_exp(-p)); }, x, nullptr, nullptr, y, n);
}
// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): no overflow
extern "C" __global__ void softplus(const REAL* x, REAL* y, int64 n) {
  each([](Wide p, Wide, Wide) {
    Wide size = p > Wide(0) ? p : -p;
    return (p <= Wide(0) ? Wide(0) : p) + mf_log1p(mf_exp(-size));
  }, x, nullptr, nullptr, y, n);
}
#else
// whole numbers: x^exponent by squaring
extern "C" __global__ void power(const REAL* x, double exponent, REAL* y, int64 n) {
  int64 e = (int64)exponent;
  each([=](Wide p, Wide, Wide) {
    Wide made = 1, square = p;
    for (int64 left = e; left > 0; left >>= 1, square = Wide(square * square))
      if (left & 1) made = Wide(made * square);
    return made;
  }, x, nullptr, nullptr, y, n);
}
#endif
