// tile.cuh: a matrix product in tiles, for kernels that gather its operands themselves.
//
//   sum[m, n] += sum_k a[k, m] b[k, n]        m < ROWS, n < COLS
//
// A block of THREADS threads owns ROWS x COLS sums. It keeps DEPTH steps of both operands in shared
// memory; while they are multiplied, the next ones are on their way from global memory to registers.
// Threads stand ACROSS x (THREADS / ACROSS); each owns squares of 4 x 4 sums, so it reads 4 numbers of
// either operand at once, and multiplies each of them 4 times or more.
//
// ROWS, COLS, ACROSS, THREADS  macros: 4, or a multiple, of ROWS and COLS for each thread
#pragma once
#include "common.cuh"

typedef WideOf<REAL>::type Wide;

constexpr int DEPTH = 8;
constexpr int DOWN = THREADS / ACROSS;
constexpr int MINE_M = ROWS / DOWN;  // sums of a thread
constexpr int MINE_N = COLS / ACROSS;
static_assert(MINE_M % 4 == 0 && MINE_N % 4 == 0, "a thread owns squares of 4 x 4");

// Numbers that lie together; with four of them, one or two wide loads.
template <class X, int V> struct alignas(V * sizeof(X) < 16 ? V * sizeof(X) : 16) Pack { X at[V]; };

struct alignas(16) Tiles {  // 4 more, so that threads that store one column meet different banks
  Wide a[DEPTH][ROWS + 4];
  Wide b[DEPTH][COLS + 4];
};

// One thread's share of the next tile of an operand with SIZE rows (or columns) m and DEPTH steps k:
// COUNT packs of V numbers that lie together in memory, along k or along m.
template <int SIZE, int V, bool ALONG_K> struct Stage {
  static constexpr int SLOTS = ALONG_K ? DEPTH / V : SIZE / V;
  static constexpr int STEP = THREADS / SLOTS;
  static constexpr int LINES = ALONG_K ? SIZE : DEPTH;  // a thread's packs are STEP lines apart
  static constexpr int COUNT = (LINES + STEP - 1) / STEP;
  static_assert(SLOTS <= THREADS, "a line of packs is read at once");
  Pack<REAL, V> pack[COUNT];

  __device__ __forceinline__ int slot() const { return threadIdx.x % SLOTS * V; }
  __device__ __forceinline__ int row(int l) const { return threadIdx.x / SLOTS + l * STEP; }
  __device__ __forceinline__ int k(int l) const { return ALONG_K ? slot() : row(l); }
  __device__ __forceinline__ int m(int l) const { return ALONG_K ? row(l) : slot(); }
  __device__ __forceinline__ bool mine(int l) const { return LINES % STEP == 0 || row(l) < LINES; }

  // What lies at `from`, or zeros where there is nothing.
  __device__ __forceinline__ void load(int l, const REAL* from) {
    if (from) {
      pack[l] = *(const Pack<REAL, V>*)from;
    } else {
#pragma unroll
      for (int i = 0; i < V; i++) pack[l].at[i] = narrow<REAL>(0);
    }
  }
  __device__ __forceinline__ void store(Wide (*tile)[SIZE + 4]) const {
#pragma unroll
    for (int l = 0; l < COUNT; l++) {
      if (!mine(l)) continue;
      Pack<Wide, V> out;
#pragma unroll
      for (int i = 0; i < V; i++) out.at[i] = wide(pack[l].at[i]);
      if (ALONG_K) {
#pragma unroll
        for (int i = 0; i < V; i++) tile[k(l) + i][m(l)] = out.at[i];
      } else {
        *(Pack<Wide, V>*)&tile[k(l)][m(l)] = out;
      }
    }
  }
};

// A thread's sums; sum (i, j) is that of row m(i) and column n(j) of the block.
struct Sums {
  Wide at[MINE_M][MINE_N];

  static __device__ __forceinline__ int m(int i) { return threadIdx.x / ACROSS * 4 + i / 4 * (4 * DOWN) + i % 4; }
  static __device__ __forceinline__ int n(int j) { return threadIdx.x % ACROSS * 4 + j / 4 * (4 * ACROSS) + j % 4; }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < MINE_M; i++)
#pragma unroll
      for (int j = 0; j < MINE_N; j++) at[i][j] = 0;
  }
  __device__ __forceinline__ void keep(volatile Wide (*kept)[MINE_N]) const {
#pragma unroll
    for (int i = 0; i < MINE_M; i++)
#pragma unroll
      for (int j = 0; j < MINE_N; j++) kept[i][j] = at[i][j];
  }
  __device__ __forceinline__ void add(const volatile Wide (*kept)[MINE_N]) {
#pragma unroll
    for (int i = 0; i < MINE_M; i++)
#pragma unroll
      for (int j = 0; j < MINE_N; j++) at[i][j] += kept[i][j];
  }
  __device__ __forceinline__ void multiply(const Tiles& tiles) {
#pragma unroll 2  // more would take registers from the sums
    for (int k = 0; k < DEPTH; k++) {
      Pack<Wide, 4> a[MINE_M / 4], b[MINE_N / 4];
#pragma unroll
      for (int i = 0; i < MINE_M; i += 4) a[i / 4] = *(const Pack<Wide, 4>*)&tiles.a[k][m(i)];
#pragma unroll
      for (int j = 0; j < MINE_N; j += 4) b[j / 4] = *(const Pack<Wide, 4>*)&tiles.b[k][n(j)];
#pragma unroll
      for (int i = 0; i < MINE_M; i++)
#pragma unroll
        for (int j = 0; j < MINE_N; j++) at[i][j] += a[i / 4].at[i % 4] * b[j / 4].at[j % 4];
    }
  }
};

// `count` times DEPTH steps. `A` and `B` load() their next DEPTH steps into their registers, in order,
// and store() them into a tile. Two tiles take turns, so one barrier for each DEPTH steps is enough.
//
// One long sum of floats would lose digits, so every LONG times DEPTH steps the sums are added to
// others, which are kept in local memory (that is, in the cache): there are no registers left.
template <class A, class B>
__device__ __forceinline__ void product(A& a, B& b, int32 count, Tiles* tiles, Sums& sums) {
  constexpr int32 LONG = 64;
  volatile Wide kept[MINE_M][MINE_N];
  sums.clear();
  if (count <= 0) return;
  a.load();
  b.load();
  a.store(tiles[0].a);
  b.store(tiles[0].b);
  __syncthreads();
  for (int32 step = 1; step <= count; step++) {
    if (step < count) {
      a.load();
      b.load();
    }
    sums.multiply(tiles[(step + 1) & 1]);
    if (step < count) {
      a.store(tiles[step & 1].a);
      b.store(tiles[step & 1].b);
    }
    if (step % LONG == 0) {
      if (step > LONG) sums.add(kept);
      sums.keep(kept);
      sums.clear();
    }
    __syncthreads();
  }
  if (count >= LONG) sums.add(kept);
}

// y[0..count) = v, four numbers that lie together; `whole`: the place fits a wide store
template <class X> __device__ __forceinline__ void put(X* y, const Wide* v, int64 count, bool whole) {
  if (whole) {
    Pack<X, 4> out;
#pragma unroll
    for (int j = 0; j < 4; j++) out.at[j] = narrow<X>(v[j]);
    *(Pack<X, 4>*)y = out;
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; j++)
    if (j < count) y[j] = narrow<X>(v[j]);
}
