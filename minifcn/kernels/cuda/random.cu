// random.cu: random masks, from a generator that counts.
//
//   philox(counter, key) = ten rounds of  (c0, c1, c2, c3) ->
//       (high(B c2) ^ c1 ^ k0,  low(B c2),  high(A c0) ^ c3 ^ k1,  low(A c0))
//   with k0 += 0x9E3779B9 and k1 += 0xBB67AE85 in between
//
//   keep     mask[i] = [draw i >= limit]       draw i: the upper 24 bits of word i % 4 of philox(i / 4, key)
//   dropout  y[i] = x[i] factor where mask[i], else 0 x[i]
//
// Each number follows from its place alone: no state, no order, the same bits on every device.
// A thread of keep owns four elements, one call of philox; a thread of dropout owns one.
// Launch  keep: ceil(n / 1024), dropout: ceil(n / 256), philox_words: ceil(n / 256) blocks of 256 threads
// Bytes   keep writes n; dropout reads x and mask and writes y
// REAL    the element type of dropout
// Builds  REAL=floating
// Source  Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011
#include "common.cuh"

typedef WideOf<REAL>::type Wide;

struct Words { uint32 at[4]; };

__device__ __forceinline__ Words philox(Words c, uint32 k0, uint32 k1) {
  for (int round = 0; round < 10; round++) {
    uint64 a = (uint64)c.at[0] * 0xD2511F53u, b = (uint64)c.at[2] * 0xCD9E8D57u;
    c = {{(uint32)(b >> 32) ^ c.at[1] ^ k0, (uint32)b, (uint32)(a >> 32) ^ c.at[3] ^ k1, (uint32)a}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// `key` lies in device memory, so that a captured step can be replayed with another one
extern "C" __global__ void keep(const uint64* key, uint32 limit, bool* mask, int64 n) {
  int64 i = line();
  if (4 * i >= n) return;
  Words drawn = philox({{(uint32)i, (uint32)(i >> 32), 0, 0}}, (uint32)*key, (uint32)(*key >> 32));
  for (int k = 0; k < 4 && 4 * i + k < n; k++) mask[4 * i + k] = drawn.at[k] >> 8 >= limit;
}

extern "C" __global__ void dropout(const REAL* x, const bool* mask, double factor, REAL* y, int64 n) {
  int64 i = line();
  if (i < n) y[i] = narrow<REAL>((mask[i] ? (Wide)factor : Wide(0)) * wide(x[i]));
}

// the generator itself: four words per counter of four words and key of two
extern "C" __global__ void philox_words(const uint32* counter, const uint32* key, uint32* out, int64 n) {
  int64 i = line();
  if (i >= n) return;
  const uint32 *c = counter + 4 * i, *k = key + 2 * i;
  Words made = philox({{c[0], c[1], c[2], c[3]}}, k[0], k[1]);
  for (int w = 0; w < 4; w++) out[4 * i + w] = made.at[w];
}
