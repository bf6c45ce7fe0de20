// plane.cu: where the largest pixel of every bin of an adaptive pooling lies.
//
//   index[n, i, j, c] = h W + w of the largest x[n, h, w, c] with floor(i H / P) <= h < ceil((i + 1) H / P),
//   w likewise; of equals the first, but the last nan wins
//
// A thread owns one bin of one channel; neighbouring threads have neighbouring channels.
// Launch  ceil(N P Q C / 256) blocks of 256 threads
// Bytes   x once, where bins overlap twice; index once
// REAL    the element type
// Builds  REAL=floating|integer
#include "common.cuh"

typedef WideOf<REAL>::type Wide;

extern "C" __global__ void adaptive_max_indices(const REAL* x, int64* index, int64 N, int64 C, int64 H, int64 W, int64 P, int64 Q) {
  int64 n = line();
  if (n >= N * P * Q * C) return;
  int64 c = n % C, j = n / C % Q, i = n / (C * Q) % P;
  const REAL* image = x + n / (C * Q * P) * H * W * C + c;
  Wide best = Wide(0);
  int64 found = -1;
  for (int64 h = i * H / P; h < ((i + 1) * H + P - 1) / P; h++)
    for (int64 w = j * W / Q; w < ((j + 1) * W + Q - 1) / Q; w++) {
      Wide v = wide(image[(h * W + w) * C]);
      if (found < 0 || v > best || v != v) {
        best = v;
        found = h * W + w;
      }
    }
  index[n] = found;
}
