// place.cu: an array set into a larger one, on a grid of places; one value everywhere else.
//
//   y[i] = x[k] where i_a = start_a + step_a k_a with 0 <= k_a < size_a on every axis a, else value
//
// Padding has steps of 1, and a negative start crops; the adjoint of a slice has its start and step.
// A thread owns one element of y, wherever it lies, and divides its number into the indices of the
// axes.
// Launch  ceil(n / 256) blocks of 256 threads
// Bytes   x read once, y written once
// WORD    an unsigned type as wide as an element; value holds an element's bits
// Builds  WORD=uint8|uint16|uint32|uint64
#include "common.cuh"

extern "C" __global__ void place_on_grid(
    const WORD* x, const __grid_constant__ View from, const __grid_constant__ Grid grid, WORD value, WORD* y,
    const __grid_constant__ View to, int64 n) {
  int64 i = line();
  if (i >= n) return;
  int64 source = 0, target = 0;
  bool inside = true;
  for (int a = to.ndim - 1; a >= 0; a--) {
    int64 rest = i / to.size[a], own = i - rest * to.size[a];
    int64 away = own - grid.start[a], k = away / grid.step[a];
    inside = inside && k * grid.step[a] == away && k >= 0 && k < from.size[a];
    source += k * from.stride[a];
    target += own * to.stride[a];
    i = rest;
  }
  y[target] = inside ? x[source] : value;
}

// y[...] = value
extern "C" __global__ void fill(WORD value, WORD* y, const __grid_constant__ View to, int64 n) {
  int64 i = line();
  if (i < n) y[place(to, i)] = value;
}

// y[place[i]] = value[which[i]], places counted in row order of the view and none of them twice
extern "C" __global__ void write_places(
    const WORD* value, const __grid_constant__ View from, const int64* which, const int64* places, WORD* y,
    const __grid_constant__ View to, int64 n) {
  int64 i = line();
  if (i < n) y[place(to, places[i])] = value[place(from, which[i])];
}
