// warp.h: barriers, shuffles, votes and atomics.
#pragma once
#include "runtime.h"

inline void __syncthreads() { emu::meet_block(false); }
inline int __syncthreads_count(int vote) { return emu::meet_block(vote); }
inline int __syncthreads_or(int vote) { return emu::meet_block(vote) != 0; }
inline int __syncthreads_and(int vote) { return emu::meet_block(!vote) == 0; }
inline void __syncwarp(unsigned mask = ~0u) { emu::meet_warp(mask, "__syncwarp"); }
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace emu {
template <class T> inline T shuffled(unsigned mask, T mine, unsigned from) {
  static_assert(sizeof(T) <= 8, "a shuffle moves 4 or 8 bytes");
  const Slot* seen = meet_warp(mask, "a shuffle", &mine, sizeof mine);
  if (!(mask >> from & 1)) fail("a shuffle reads a lane that is not in the mask");
  T theirs;
  memcpy(&theirs, seen[from], sizeof theirs);
  return theirs;
}
// Old value of *p, which becomes f(*p) with nobody in between.
template <class T, class F> inline T changed(T* p, F f) {
  T old, made;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  do made = f(old);
  while (!__atomic_compare_exchange(p, &old, &made, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}
}  // namespace emu

// Lanes form groups of `width`; a lane whose source would lie outside of its group keeps its own.
template <class T> inline T __shfl_sync(unsigned mask, T mine, int from, int width = 32) {
  unsigned lane = emu::here->lane;
  return emu::shuffled(mask, mine, (lane & ~(width - 1)) | (from & (width - 1)));
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T mine, int flip, int width = 32) {
  unsigned lane = emu::here->lane, from = lane ^ flip;
  return emu::shuffled(mask, mine, (from & ~(width - 1)) > (lane & ~(width - 1)) ? lane : from);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T mine, unsigned by, int width = 32) {
  unsigned lane = emu::here->lane;
  return emu::shuffled(mask, mine, (lane & (width - 1)) + by < (unsigned)width ? lane + by : lane);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T mine, unsigned by, int width = 32) {
  unsigned lane = emu::here->lane;
  return emu::shuffled(mask, mine, (lane & (width - 1)) >= by ? lane - by : lane);
}

inline unsigned __ballot_sync(unsigned mask, int vote) {
  unsigned char mine = vote != 0;
  const emu::Slot* seen = emu::meet_warp(mask, "a vote", &mine, 1);
  unsigned ballot = 0;
  for (unsigned l = 0; l < emu::LANES; l++)
    if (mask >> l & 1) ballot |= (unsigned)(seen[l][0] & 1) << l;
  return ballot;
}
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }
inline unsigned __activemask() { emu::fail("__activemask says nothing that one may rely on"); return ~0u; }

template <class T, class U> inline T atomicAdd(T* p, U v) { return emu::changed(p, [=](T o) { return (T)(o + (T)v); }); }
template <class T, class U> inline T atomicMax(T* p, U v) { return emu::changed(p, [=](T o) { return o > (T)v ? o : (T)v; }); }
template <class T, class U> inline T atomicMin(T* p, U v) { return emu::changed(p, [=](T o) { return o < (T)v ? o : (T)v; }); }
template <class T, class U> inline T atomicOr(T* p, U v) { return emu::changed(p, [=](T o) { return (T)(o | (T)v); }); }
template <class T, class U> inline T atomicAnd(T* p, U v) { return emu::changed(p, [=](T o) { return (T)(o & (T)v); }); }
template <class T, class U> inline T atomicExch(T* p, U v) { return emu::changed(p, [=](T) { return (T)v; }); }
template <class T> inline T atomicCAS(T* p, T expected, T v) { return emu::changed(p, [=](T o) { return o == expected ? v : o; }); }
