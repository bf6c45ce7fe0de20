// reduce.cu: one number out of many: sums, extremes, and where the extremes are.
//
//   x lies [A, R, B] in memory, y [A, S, B]: axis R falls, cut into S segments of T = ceil(R / S)
//
//   sum       y[a, s, b] = sum of x[a, r, b] over s T <= r < (s + 1) T
//   extreme   y[a, s, b] = the largest (smallest) of them; a nan wins
//   arg       y[a, s, b] = the first r of the largest (smallest); a nan wins
//
// Each comes twice: `_threads`, where a thread owns one y and its neighbours read its x's neighbours
// (B is wide, or R short), and `_warps`, where the 32 threads of a warp share one y and meet in a
// tree. Few long sums are cut into S segments; a second launch with S = 1 adds up the S parts, so
// the order of additions follows from the shape alone.
//
// Launch  ceil(A S B / 256) blocks of 256 threads, 32 times as many for _warps
// Bytes   x read once, y written once
// REAL, OUT  the types of x and y;   TOTAL  see sums.cuh
// Builds  REAL=floating OUT=REAL|double TOTAL=double
// Builds  REAL=double OUT=float|half16|bfloat16 TOTAL=double
// Builds  REAL=half16|bfloat16 OUT=float TOTAL=double
// Builds  REAL=float OUT=half16|bfloat16 TOTAL=double
// Builds  REAL=int64|int32|int16|int8|bool OUT=int64 TOTAL=int64
// Builds  REAL=uint8|uint16|uint32|uint64 OUT=uint64 TOTAL=uint64
#include "common.cuh"
#include "sums.cuh"

typedef WideOf<REAL>::type Wide;

// The part of x that y number n speaks for: elements start + r B for first <= r < last.
struct Segment { int64 first, last, row, b; };

__device__ __forceinline__ Segment segment(int64 n, int64 R, int64 B, int64 S) {
  int64 a = n / (S * B), rest = n - a * S * B, s = rest / B, T = (R + S - 1) / S;
  int64 first = s * T, last = first + T;
  return {first < R ? first : R, last < R ? last : R, a, rest - s * B};
}

// A fold sees elements one by one, then meets the folds of other lanes, then leaves its result.
template <class Fold>
__device__ __forceinline__ void by_threads(Fold fold, int64 A, int64 R, int64 B, int64 S) {
  int64 n = line();
  if (n >= A * S * B) return;
  Segment part = segment(n, R, B, S);
  for (int64 r = part.first; r < part.last; r++) fold.see(part, r, R, B);
  fold.leave(n);
}

template <class Fold>
__device__ __forceinline__ void by_warps(Fold fold, int64 A, int64 R, int64 B, int64 S) {
  int64 n = line() / 32;
  if (n >= A * S * B) return;  // all lanes of a warp have the same n
  int lane = threadIdx.x % 32;
  Segment part = segment(n, R, B, S);
  for (int64 r = part.first + lane; r < part.last; r += 32) fold.see(part, r, R, B);
  for (int far = 16; far > 0; far /= 2) fold.meet(far);
  if (lane == 0) fold.leave(n);
}

template <class X> __device__ __forceinline__ X from_lane(X x, int far) {
  return (X)__shfl_xor_sync(0xffffffffu, x, far);
}

// ---- sums ----------------------------------------------------------------------------------------

struct Adding {
  const REAL* x;
  OUT* y;
  Sum<REAL> sum;
  __device__ __forceinline__ void see(const Segment& part, int64 r, int64 R, int64 B) {
    sum.add(x[(part.row * R + r) * B + part.b]);
  }
  __device__ __forceinline__ void meet(int far) { sum.total = sum.close() + from_lane(sum.close(), far); }
  __device__ __forceinline__ void leave(int64 n) { y[n] = narrow<OUT>(sum.close()); }
};

extern "C" __global__ void sum_threads(const REAL* x, OUT* y, int64 A, int64 R, int64 B, int64 S) {
  by_threads(Adding{x, y, {}}, A, R, B, S);
}
extern "C" __global__ void sum_warps(const REAL* x, OUT* y, int64 A, int64 R, int64 B, int64 S) {
  by_warps(Adding{x, y, {}}, A, R, B, S);
}

// ---- extremes ------------------------------------------------------------------------------------

__device__ __forceinline__ bool beats(Wide x, Wide best, bool largest) {
  if (best != best) return false;
  return x != x || (largest ? x > best : x < best);
}

struct Choosing {
  const REAL* x;
  REAL* y;
  bool largest;
  bool any;
  Wide best;
  __device__ __forceinline__ void take(Wide v) {
    if (!any || beats(v, best, largest)) best = v;
    any = true;
  }
  __device__ __forceinline__ void see(const Segment& part, int64 r, int64 R, int64 B) {
    take(wide(x[(part.row * R + r) * B + part.b]));
  }
  __device__ __forceinline__ void meet(int far) {
    Wide other = from_lane(best, far);
    if (from_lane((int)any, far)) take(other);
  }
  __device__ __forceinline__ void leave(int64 n) { y[n] = narrow<REAL>(best); }
};

extern "C" __global__ void extreme_threads(const REAL* x, REAL* y, bool largest, int64 A, int64 R, int64 B, int64 S) {
  by_threads(Choosing{x, y, largest, false, Wide(0)}, A, R, B, S);
}
extern "C" __global__ void extreme_warps(const REAL* x, REAL* y, bool largest, int64 A, int64 R, int64 B, int64 S) {
  by_warps(Choosing{x, y, largest, false, Wide(0)}, A, R, B, S);
}

// Candidate k is r = k itself, or r = from[a, k, b] where `from` holds the winners of segments.
struct Finding {
  const REAL* x;
  const int64* from;
  int64* y;
  int64 size;  // of axis R of x
  bool largest;
  Wide best;
  int64 at;
  __device__ __forceinline__ void take(Wide v, int64 r) {
    if (r < 0) return;
    if (at < 0 || beats(v, best, largest) || (r < at && !beats(best, v, largest))) {
      best = v;
      at = r;
    }
  }
  __device__ __forceinline__ void see(const Segment& part, int64 k, int64 K, int64 B) {
    int64 r = from ? from[(part.row * K + k) * B + part.b] : k;
    take(wide(x[(part.row * size + r) * B + part.b]), r);
  }
  __device__ __forceinline__ void meet(int far) {
    Wide other = from_lane(best, far);
    take(other, from_lane(at, far));
  }
  __device__ __forceinline__ void leave(int64 n) { y[n] = at; }
};

// K candidates for each of A B results.
extern "C" __global__ void arg_threads(const REAL* x, const int64* from, int64* y, int64 size, bool largest, int64 A, int64 K, int64 B, int64 S) {
  by_threads(Finding{x, from, y, size, largest, Wide(0), -1}, A, K, B, S);
}
extern "C" __global__ void arg_warps(const REAL* x, const int64* from, int64* y, int64 size, bool largest, int64 A, int64 K, int64 B, int64 S) {
  by_warps(Finding{x, from, y, size, largest, Wide(0), -1}, A, K, B, S);
}
