// tensor_tile.cuh: one block's tile of a matrix product, on tensor cores.
//
//   d[m, n] = sum_k a[m, k] b[k, n]          BM x BN of d for a block, WM x WN for a warp
//
// Who owns what. The (BM / WM) (BN / WN) warps of a block lie over its tile in rows. A warp cuts its
// part into pieces of 16 x 8, which is what one mma instruction makes, and keeps their sums in
// registers, in float. In a step, the block has BK of the k in shared memory: 64 bytes of every row
// of a and of every column of b, that is two slabs of 32 bytes; one mma takes one slab. The next
// STAGES - 1 steps are under way by cp.async meanwhile.
//
// Fragments, as in PTX ISA "Matrix Fragments for mma.m16n8k16 with floating point type" (halves) and
// "... for mma.m16n8k8" (TF32). Counted in bytes both are the same. With g = lane / 4, t = lane % 4:
//
//        a: 16 rows of 32 bytes            b: 8 columns of 32 bytes        d: 16 rows of 8 floats
//      bytes 4t..4t+3 | 16+4t..          bytes 4t..4t+3 | 16+4t..            columns 2t, 2t+1
//            +--------+--------+               +--------+--------+              +--------------+
//   row g    |  a[0]  |  a[2]  |      column g |  b[0]  |  b[1]  |      row g   |  d[0], d[1]  |
//            +--------+--------+               +--------+--------+              +--------------+
//   row g+8  |  a[1]  |  a[3]  |                                        row g+8 |  d[2], d[3]  |
//            +--------+--------+                                                +--------------+
//
// Four bytes are two halves (k = 2t, 2t+1) or one float (k = t). Each square is one matrix of 8 rows of
// 16 bytes, so ldmatrix_x4 fetches an a, or two b, at once.
//
// Two ways to lie in shared memory:
//
//   in rows      every row of a and every column of b is 64 bytes of consecutive k
//   in columns   every k is a line of the BM (or BN) elements of a (or b) at that k
//
// In columns, halves are turned by ldmatrix_x4_trans; floats, which it cannot turn, are picked one by
// one. Chunks of 16 bytes are permuted within their line, or lines shifted, so that the eight rows of a
// matrix, or the 32 floats that a warp picks, are in different banks.
//
// REAL is half16, bfloat16, or float: then the operands are rounded to TF32 (10 bits of fraction, to
// nearest). Sums are floats throughout; the hardware cuts off their last bit, where float rounds it.
// BM and BN are 128 x 128, 128 x 64, 64 x 64, 128 x 32 or 32 x 128.
#pragma once
#include "conv.cuh"
#include "ptx.cuh"

constexpr int WM = BM * BN > 64 * 64 ? 64 : 32, WN = 32;
constexpr int STAGES = 4;
constexpr int CHUNK = 16 / sizeof(REAL);  // elements in 16 bytes, what one cp.async moves
constexpr int BK = 4 * CHUNK;             // elements of k in a step
constexpr int WARPS = (BM / WM) * (BN / WN), THREADS = 32 * WARPS;
constexpr int BLOCKS = BM * BN > 128 * 64 ? 2 : BM * BN > 64 * 64 ? 3 : 4;  // at least, on a multiprocessor
constexpr int B_AT = BM * 64 + 512, STAGE = B_AT + BN * 64 + 512;  // bytes: a, then b; 512 to shift lines
constexpr int A_LOADS = BM * 4 / THREADS, B_LOADS = BN * 4 / THREADS;  // chunks a thread moves in a step
static_assert(A_LOADS * THREADS == BM * 4 && B_LOADS * THREADS == BN * 4, "the threads share a tile evenly");
static_assert(WM % 16 == 0 && WN % 16 == 0, "warps own whole pieces");
constexpr bool HALVES = sizeof(REAL) == 2;

typedef float Sums[WM / 16][WN / 8][4];
struct Fragments { unsigned a[WM / 16][4], b[WN / 8][2]; };
template <class T> struct alignas(2 * sizeof(T)) Two { T first, second; };
template <class T> struct alignas(16) Chunk { T at[16 / sizeof(T)]; };

__device__ __forceinline__ int lane() { return threadIdx.x & 31; }
__device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / (BN / WN) * WM; }     // of the block's tile
__device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % (BN / WN) * WN; }

// at += by, for two places in the same three counters: at most one carry each, where Odometer::advance
// counts as often as the last one overflows.
__device__ __forceinline__ void add(Odometer& at, const Odometer& by, int B, int C) {
  at.a += by.a, at.b += by.b, at.c += by.c;
  if (at.c >= C) at.c -= C, at.b++;
  if (at.b >= B) at.b -= B, at.a++;
}

// ---- tiles in rows -----------------------------------------------------------------------------------

// Where chunk 0..3 of a row lies. Two rows share the 128 bytes of all banks; every second row is
// permuted another way, and eight rows at one chunk meet every bank once.
__device__ __forceinline__ int in_rows(int row, int chunk) { return row * 64 + ((chunk ^ (row >> 1 & 3)) << 4); }

// The fragments of one slab. Rows 16 i further are permuted alike, so addresses are sums.
__device__ __forceinline__ void fetch_rows(Fragments& f, const char* a, const char* b, int slab) {
  const int l = lane();
  a += in_rows(warp_row() + (l & 15), 2 * slab + (l >> 4));
  b += in_rows(warp_column() + (l & 7) + (l >> 4) * 8, 2 * slab + (l >> 3 & 1));
#pragma unroll
  for (int i = 0; i < WM / 16; i++) ldmatrix_x4(f.a[i], a + i * 16 * 64);
#pragma unroll
  for (int j = 0; j < WN / 16; j++) {
    unsigned two[4];
    ldmatrix_x4(two, b + j * 16 * 64);
    f.b[2 * j][0] = two[0], f.b[2 * j][1] = two[1];
    f.b[2 * j + 1][0] = two[2], f.b[2 * j + 1][1] = two[3];
  }
}

// ---- tiles in columns --------------------------------------------------------------------------------

// Where chunk c of line k lies, in lines of WIDTH elements: halves are permuted, eight lines in eight
// ways; lines of floats have 32 bytes between them, so that four of them take up all banks.
template <int WIDTH> __device__ __forceinline__ int in_columns(int k, int c) {
  constexpr int LINE = WIDTH * sizeof(REAL);
  if constexpr (!HALVES) return k * (LINE + 32) + c * 16;
  return k * LINE + ((c ^ (LINE < 128 ? k >> 1 & 3 : k & 7)) << 4);
}

// Halves: every lane names 8 elements of a line, and ldmatrix turns four squares of 8 x 8.
template <int WIDTH>
__device__ __forceinline__ void fetch_turned(unsigned (&r)[4], const char* tile, int k, int element) {
  ldmatrix_x4_trans(r, tile + in_columns<WIDTH>(k, element / 8));
}
// Floats: the element at (k, element).
template <int WIDTH> __device__ __forceinline__ unsigned fetch_one(const char* tile, int k, int element) {
  return *(const unsigned*)(tile + in_columns<WIDTH>(k, element / 4) + (element & 3) * 4);
}

__device__ __forceinline__ void fetch_columns(Fragments& f, const char* a, const char* b, int slab) {
  const int l = lane();
  if constexpr (HALVES) {
    const int low = l & 7, second = l >> 3 & 1, last = l >> 4;  // line within a square, and which square
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
      fetch_turned<BM>(f.a[i], a, slab * 16 + low + last * 8, warp_row() + i * 16 + second * 8);
#pragma unroll
    for (int j = 0; j < WN / 16; j++) {
      unsigned two[4];
      fetch_turned<BN>(two, b, slab * 16 + low + second * 8, warp_column() + j * 16 + last * 8);
      f.b[2 * j][0] = two[0], f.b[2 * j][1] = two[1];
      f.b[2 * j + 1][0] = two[2], f.b[2 * j + 1][1] = two[3];
    }
  } else {
    const int g = l >> 2, k = slab * 8 + (l & 3);
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
#pragma unroll
      for (int r = 0; r < 4; r++)
        f.a[i][r] = fetch_one<BM>(a, k + (r >> 1) * 4, warp_row() + i * 16 + g + (r & 1) * 8);
#pragma unroll
    for (int j = 0; j < WN / 8; j++)
#pragma unroll
      for (int r = 0; r < 2; r++) f.b[j][r] = fetch_one<BN>(b, k + r * 4, warp_column() + j * 8 + g);
  }
}

// ---- products and sums ---------------------------------------------------------------------------------

typedef float Piece[4];
typedef const unsigned Left[4], Right[2];
__device__ __forceinline__ void mma(half16, Piece& d, Left& a, Right& b) { mma_f16(d, a, b); }
__device__ __forceinline__ void mma(bfloat16, Piece& d, Left& a, Right& b) { mma_bf16(d, a, b); }
__device__ __forceinline__ void mma(float, Piece& d, Left& a, Right& b) { mma_tf32(d, a, b); }

// sums += a b for the fragments of a slab
__device__ __forceinline__ void multiply(Sums& sums, Fragments& f) {
  if constexpr (!HALVES) {
#pragma unroll
    for (int j = 0; j < WN / 8; j++)
#pragma unroll
      for (int r = 0; r < 2; r++) f.b[j][r] = cvt_tf32(__uint_as_float(f.b[j][r]));
  }
#pragma unroll
  for (int i = 0; i < WM / 16; i++) {
    if constexpr (!HALVES) {
#pragma unroll
      for (int r = 0; r < 4; r++) f.a[i][r] = cvt_tf32(__uint_as_float(f.a[i][r]));
    }
#pragma unroll
    for (int j = 0; j < WN / 8; j++) mma(REAL(), sums[i][j], f.a[i], f.b[j]);
  }
}

// The whole sum over k, in `steps` steps. load(stage) starts the copies of the next step into a stage
// of the ring `room`; fetch takes the fragments of a slab from one. At the end the ring is free.
template <class Load, class Fetch>
__device__ __forceinline__ void accumulate(Sums& sums, char* room, int64 steps, Load load, Fetch fetch) {
#pragma unroll
  for (int stage = 0; stage < STAGES - 1; stage++) {
    if (stage < steps) load(room + stage * STAGE);
    cp_async_commit();
  }
  int full = 0, empty = STAGES - 1;  // stages: whose copies come first, and which is free next
  for (int64 step = 0; step < steps; step++) {
    cp_async_wait<STAGES - 2>();  // this thread's copies of the step are there; after the barrier everyone's,
    __syncthreads();              // and no one reads the stage of the step before any more
    if (step + STAGES - 1 < steps) load(room + empty * STAGE);
    cp_async_commit();  // perhaps an empty group, so that counting goes on
    const char* a = room + full * STAGE;
#pragma unroll
    for (int slab = 0; slab < 2; slab++) {
      Fragments f;
      fetch(f, a, a + B_AT, slab);
      multiply(sums, f);
    }
    full = full + 1 == STAGES ? 0 : full + 1;
    empty = empty + 1 == STAGES ? 0 : empty + 1;
  }
  cp_async_wait<0>();
  __syncthreads();
}

// Hands out the tile in chunks of 16 bytes: store(row, column, chunk), by whichever lane has it. A warp
// lays 16 rows of its part into shared memory, rounded to T, and reads them back along the rows.
constexpr int STAGING = WARPS * 16 * (WN + 8) * 4;  // bytes, at most
static_assert(STAGING <= STAGES * STAGE, "the staging fits the ring");
template <class T, class Store>
__device__ __forceinline__ void hand_out(const Sums& sums, char* room, Store store) {
  constexpr int COUNT = 16 / sizeof(T), PITCH = WN + 8, CHUNKS = WN / COUNT;  // 8 more: other banks for the next row
  T* own = (T*)room + threadIdx.x / 32 * 16 * PITCH;
  const int l = lane(), g = l >> 2, t = l & 3;
#pragma unroll
  for (int i = 0; i < WM / 16; i++) {
#pragma unroll
    for (int j = 0; j < WN / 8; j++)
#pragma unroll
      for (int h = 0; h < 2; h++)
        *(Two<T>*)(own + (g + 8 * h) * PITCH + j * 8 + 2 * t) =
            {narrow<T>(sums[i][j][2 * h]), narrow<T>(sums[i][j][2 * h + 1])};
    __syncwarp();
#pragma unroll
    for (int k = l; k < 16 * CHUNKS; k += 32) {
      int row = k / CHUNKS, column = k % CHUNKS * COUNT;
      store(warp_row() + i * 16 + row, warp_column() + column, *(const Chunk<T>*)(own + row * PITCH + column));
    }
    __syncwarp();
  }
}
