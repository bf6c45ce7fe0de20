// scatter.cu: bring elements to places that an index array names along one axis, without races.
//
//   g lies [A, J, B] in memory, x [A, R, B]; the index is [J] (shared) or [A, J, B]
//
//   add     x[a, r, b] = sum of g[a, j, b] over index[j] = r, in the order of j
//   last    x[a, r, b] = g[a, j, b] of the last such j, 0 without any
//
// Adding gathers: whoever owns x[a, r, b] looks for its j. Few j are simply compared (add_few). For
// many, key = place (J's size) + j is sorted (sort.cu), and a binary search finds the run of a
// place (add_runs): every sum is made in one order, with no atomic operation on fractions.
// `last` needs the largest j of every place; a maximum of whole numbers is the same in any order,
// so here an atomic one is deterministic.
//
// Launch  a thread per element of x (add_few, add_runs, write_last), of the index (keys, mark_last)
// Bytes   add_few: x once, index and g up to R times from the cache; add_runs: 2 log2(keys) keys per x
// REAL    the element type;   LABEL  the type of the index;   TOTAL  see sums.cuh
// Builds  REAL=floating LABEL=int64|int32 TOTAL=double
// Builds  REAL=int64|int32|int16|int8|bool LABEL=int64|int32 TOTAL=int64
// Builds  REAL=uint8|uint16|uint32|uint64 LABEL=int64|int32 TOTAL=uint64
#include "common.cuh"
#include "sums.cuh"

constexpr uint64 NOWHERE = ~0ull;  // the key of an index out of range: behind all others

// r counted from the start of the axis; -1 for one out of range
__device__ __forceinline__ int64 from_start(int64 r, int64 R) {
  if (r < 0) r += R;
  return 0 <= r && r < R ? r : -1;
}

extern "C" __global__ void add_few(const REAL* g, const LABEL* index, bool shared, REAL* x, int64 A, int64 J, int64 R, int64 B) {
  int64 i = line();
  if (i >= A * R * B) return;
  int64 a = i / (R * B), rest = i - a * R * B, r = rest / B, b = rest - r * B;
  Sum<REAL> sum;
  for (int64 j = 0; j < J; j++) {
    int64 own = (a * J + j) * B + b;
    if (from_start((int64)index[shared ? j : own], R) == r) sum.add(g[own]);
  }
  x[i] = narrow<REAL>(sum.close());
}

// key[m] = place M + m for the M elements of the index; the rest of a power of two is NOWHERE
extern "C" __global__ void keys(const LABEL* index, bool shared, uint64* key, int64 count, int64 M, int64 J, int64 R, int64 B) {
  int64 m = line();
  if (m >= count) return;
  int64 r = m < M ? from_start((int64)index[m], R) : -1;
  int64 place = shared ? r : (m / (J * B) * R + r) * B + m % B;
  key[m] = r < 0 ? NOWHERE : (uint64)place * (uint64)M + (uint64)m;
}

extern "C" __global__ void add_runs(const REAL* g, const uint64* key, bool shared, int64 M, REAL* x, int64 A, int64 J, int64 R, int64 B) {
  int64 i = line();
  if (i >= A * R * B) return;
  int64 a = i / (R * B), rest = i - a * R * B, r = rest / B, b = rest - r * B;
  uint64 first = (uint64)(shared ? r : i) * (uint64)M;  // the least key of this place
  int64 low = 0, high = M;
  while (low < high) {
    int64 middle = (low + high) / 2;
    if (key[middle] < first) low = middle + 1;
    else high = middle;
  }
  Sum<REAL> sum;
  for (; low < M && key[low] - first < (uint64)M; low++) {
    int64 m = (int64)(key[low] - first);
    sum.add(g[shared ? (a * J + m) * B + b : m]);
  }
  x[i] = narrow<REAL>(sum.close());
}

// last starts at -1 everywhere
extern "C" __global__ void mark_last(const LABEL* index, int32* last, int64 A, int64 J, int64 R, int64 B) {
  int64 i = line();
  if (i >= A * J * B) return;
  int64 a = i / (J * B), r = from_start((int64)index[i], R);
  if (r >= 0) atomicMax(&last[(a * R + r) * B + i % B], (int32)(i / B % J));
}

extern "C" __global__ void write_last(const REAL* g, const int32* last, REAL* x, int64 A, int64 J, int64 R, int64 B) {
  int64 i = line();
  if (i >= A * R * B) return;
  int64 a = i / (R * B), j = last[i];
  x[i] = j < 0 ? narrow<REAL>(0) : g[(a * J + j) * B + i % B];
}
