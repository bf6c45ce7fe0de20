// conv_tensor_ends.cu: what comes before and after the tensor kernels of convolution.
//
//   widen       y[r, c] = x[r, c] where c < C, else 0            channels filled up to whole chunks
//   turn        y[a, t, b] = x[b, t, a] within each group        w, for conv_transpose2d
//   add_parts   y[r, c] = act(bias[c] + parts[0, r, c] + parts[1, r, c] + ...)      in a fixed order
//
// Bytes   everything once; the reads and the writes of a warp are consecutive
// REAL    half16, bfloat16 or float
// Builds  REAL=half16|bfloat16|float
#include "common.cuh"

constexpr int CHUNK = 16 / sizeof(REAL);
struct alignas(16) Chunk { REAL at[CHUNK]; };

// rows of C elements to rows of padded ones, a multiple of CHUNK; a thread owns a chunk of y.
// Launch  ceil(rows padded / CHUNK / 256) blocks of 256
extern "C" __global__ void widen(const REAL* x, REAL* y, int64 rows, int32 C, int32 padded) {
  const int64 i = line(), chunks = padded / CHUNK;
  if (i >= rows * chunks) return;
  const int64 r = divide(i, chunks), c = (i - r * chunks) * CHUNK;
  Chunk values;
#pragma unroll
  for (int e = 0; e < CHUNK; e++) values.at[e] = c + e < C ? x[r * C + c + e] : narrow<REAL>(0);
  ((Chunk*)y)[i] = values;
}

// x is (groups B) taps A; y is (groups A) taps padded, and zero from B on. A block owns a square of
// 32 x 32 at one tap: it reads along A, and writes along B, by way of shared memory.
// Launch  groups taps ceil(A / 32) ceil(padded / 32) blocks of 32 x 8
extern "C" __global__ void turn(const REAL* x, REAL* y, int32 groups, int32 A, int32 B, int32 taps, int32 padded) {
  __shared__ REAL square[32][33];  // 33: a column crosses all banks
  const unsigned across = (A + 31) / 32, down = (padded + 31) / 32;
  const unsigned row = blockIdx.x / across, matrix = row / down;
  const int a0 = blockIdx.x % across * 32, b0 = row % down * 32;
  const int64 tap = matrix % taps, group = matrix / taps;
  for (int k = threadIdx.y; k < 32; k += 8) {
    const int a = a0 + threadIdx.x, b = b0 + k;
    square[k][threadIdx.x] = a < A && b < B ? x[((group * B + b) * taps + tap) * A + a] : narrow<REAL>(0);
  }
  __syncthreads();
  for (int k = threadIdx.y; k < 32; k += 8) {
    const int a = a0 + k, b = b0 + threadIdx.x;
    if (a < A && b < padded) y[((group * A + a) * taps + tap) * padded + b] = square[threadIdx.x][k];
  }
}

// parts of rows of `padded` floats; y has the first C of each. Where there are many parts, the 8 threads
// of an element add every eighth one, first to last, and the first of them adds the 8 sums.
// Launch  ceil(rows C / X) blocks of X x Y threads, X Y = 256, Y = 8 or 1
extern "C" __global__ void add_parts(const float* parts, const REAL* bias, REAL* y, int64 rows, int32 C,
                                     int32 padded, int32 count, bool relu) {
  __shared__ float sums[256];
  const int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x, r = divide(i, C), c = i - r * C;
  float sum = 0;
  if (r < rows) {
#pragma unroll 4
    for (int k = threadIdx.y; k < count; k += blockDim.y) sum += parts[(k * rows + r) * padded + c];
  }
  sums[threadIdx.y * blockDim.x + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || r >= rows) return;
  for (int k = 1; k < blockDim.y; k++) sum += sums[k * blockDim.x + threadIdx.x];
  if (bias) sum += wide(bias[c]);
  y[i] = narrow<REAL>(relu && sum <= 0.f ? 0.f : sum);
}
