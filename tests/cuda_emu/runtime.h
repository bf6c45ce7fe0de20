// runtime.h: what a kernel sees of the emulator. Each CUDA thread of a block is a fiber, and all
// fibers run in turn on one thread of the host, so a run is deterministic. runtime.cpp is compiled
// once and keeps the fibers; every kernel file is a shared library of its own that calls it.
#pragma once
#include <stddef.h>

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emu {

constexpr unsigned LANES = 32;
constexpr size_t LARGEST = 64;  // bytes that one lane can hand to the others
typedef unsigned char Slot[LARGEST];

// Where the running fiber stands.
struct Place { dim3 thread; unsigned lane; };
// The launch, and the block that is running.
struct Block { dim3 grid, size, index; char* dynamic; };

extern Place* here;
extern Block block;

void fail(const char* what);  // the launch ends with this error

// Wait for the whole block; gives how many of its threads came with a true vote.
unsigned meet_block(bool vote);
// Wait for the lanes in `mask`; all must wait for the same `what`. Gives what each of them brought.
const Slot* meet_warp(unsigned mask, const char* what, const void* brought = nullptr, size_t size = 0);

// cp.async: a copy is only noted, and done when its group is waited for: as late as is allowed.
struct Copy { unsigned char* to; const unsigned char* from; unsigned size, filled; };
void note(const Copy& copy);
void close_group();
bool next_copy(unsigned keep, Copy* copy);  // the oldest copy beyond the `keep` youngest groups

// A launch, as the Python side asks for it.
struct Launch {
  void (*body)(void** arguments);
  void** arguments;
  unsigned grid[3], block[3];
  size_t dynamic;        // bytes of dynamic shared memory
  char *shared, *end;    // the __shared__ variables of the kernel's file
  unsigned order;        // 1: blocks and warps from the last to the first; 2: lanes so; 3: both
};
const char* launch(const Launch& launch);  // an empty text, or what went wrong

}  // namespace emu
