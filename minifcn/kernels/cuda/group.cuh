// group.cuh: many arrays in one launch.
//
// A block owns CHUNK neighbouring elements of one array of a Group, a struct of addresses that is
// itself an argument: nothing is copied to the device first, and a graph that is replayed has its
// addresses in it. Blocks from[k] .. from[k + 1] - 1 belong to array k.
//
// Launch  from[count] blocks of 256 threads
#pragma once
#include "common.cuh"

constexpr int MOST = 64;
constexpr int CHUNK = 256 * 16;

struct Group {
  uint64 p[MOST], g[MOST], v[MOST], b[MOST];  // addresses; v is 0 without momentum, b often
  int64 size[MOST];
  int32 from[MOST + 1], count;
};

// The array that a block works on: the last k with from[k] <= block.
__device__ __forceinline__ int own_array(const Group& group, int block) {
  int low = 0, high = group.count;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (group.from[middle] <= block) low = middle; else high = middle;
  }
  return low;
}

// The block's part of the array: elements first .. stop - 1.
struct Part { int k; int64 first, stop; };

__device__ __forceinline__ Part own_part(const Group& group) {
  int k = own_array(group, blockIdx.x);
  int64 first = (int64)(blockIdx.x - group.from[k]) * CHUNK, stop = first + CHUNK;
  return {k, first, stop < group.size[k] ? stop : group.size[k]};
}
