// runtime.cpp: the fibers of a block, its barriers, and who must have met before anyone goes on.
//
// A fiber runs until it waits or ends. When none of a warp can run, the lanes that wait for each
// other go on together; when no warp can run, the block's barrier opens if everybody is there.
// If not, that is a deadlock on a GPU (or worse), and it is reported here.
//
// Shared memory is filled with 0xFF (nan) before each block: nobody may read what nobody wrote.
// This file itself is compiled without sanitizers, and tells them of every switch. TSan is told of
// the order that barriers make, and of no other: two threads of a block that touch the same place
// between two barriers are a race.
#include "runtime.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <deque>
#include <string>
#include <vector>

#if defined(EMU_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMU_TSAN)
#include <sanitizer/tsan_interface.h>
#define RELEASE(object) __tsan_release(object)
#define ACQUIRE(object) __tsan_acquire(object)
#else
#define RELEASE(object) (void)(object)
#define ACQUIRE(object) (void)(object)
#endif

namespace emu {

Place* here = nullptr;
Block block;

namespace {

#if defined(EMU_ASAN) || defined(EMU_TSAN)
constexpr size_t STACK = 64 << 10;  // ASan clears the shadow of a whole stack at every switch
constexpr bool JUMPS = false;
#else
constexpr size_t STACK = 128 << 10;
constexpr bool JUMPS = true;  // setjmp is ten times as fast as swapcontext, but unknown to ASan
#endif
constexpr size_t GUARD = 4096;

enum State : unsigned char { READY, AT_BLOCK, AT_WARP, ENDED };

struct Fiber {
  Place place;
  State state;
  bool started = false;
  unsigned warp, mask;
  const char* what;
  size_t size;
  Slot brought;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
  ucontext_t context;
  jmp_buf jump;
  char* stack;
  void *fake_stack = nullptr, *tsan = nullptr;
};

struct Warp { Slot seen[LANES]; char barrier[2]; unsigned turn; };

struct Scheduler {
  ucontext_t context;
  jmp_buf jump;
  void *fake_stack = nullptr, *tsan = nullptr;
  const void* stack = nullptr;
  size_t stack_size = 0;
  std::vector<Fiber*> fibers;
  Warp warps[LANES];
  unsigned threads = 0, order = 0, votes[2], turn = 0;
  // Two objects in turn: a thread that leaves a barrier late must not see arrivals at the next.
  char barrier[2], begin, end;
  const Launch* launch = nullptr;
  std::string error;
};
Scheduler all;
Fiber* running = nullptr;

// ---- switching -----------------------------------------------------------------------------------

void leave() {  // from the running fiber to the scheduler
  Fiber* f = running;
#if defined(EMU_ASAN)
  __sanitizer_start_switch_fiber(&f->fake_stack, all.stack, all.stack_size);
#endif
#if defined(EMU_TSAN)
  __tsan_switch_to_fiber(all.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  if (!JUMPS) swapcontext(&f->context, &all.context);
  else if (!_setjmp(f->jump)) _longjmp(all.jump, 1);
#if defined(EMU_ASAN)
  __sanitizer_finish_switch_fiber(f->fake_stack, &all.stack, &all.stack_size);
#endif
}

void body() {  // a fiber is one thread after another, as blocks come
#if defined(EMU_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &all.stack, &all.stack_size);
#endif
  for (;;) {
    ACQUIRE(&all.begin);
    all.launch->body(all.launch->arguments);
    RELEASE(&all.end);
    running->state = ENDED;
    leave();
  }
}

void enter(Fiber* f) {  // from the scheduler to a fiber
  running = f;
  here = &f->place;
#if defined(EMU_ASAN)
  __sanitizer_start_switch_fiber(&all.fake_stack, f->stack, STACK);
#endif
#if defined(EMU_TSAN)
  __tsan_switch_to_fiber(f->tsan, __tsan_switch_to_fiber_no_sync);
#endif
  bool first = !f->started;
  f->started = true;
  if (!JUMPS) swapcontext(&all.context, &f->context);
  else if (!_setjmp(all.jump)) {
    if (first) setcontext(&f->context);
    else _longjmp(f->jump, 1);
  }
#if defined(EMU_ASAN)
  __sanitizer_finish_switch_fiber(all.fake_stack, nullptr, nullptr);
#endif
  running = nullptr;
}

void prepare(Fiber* f) {
  f->started = false;
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = f->stack;
  f->context.uc_stack.ss_size = STACK;
  f->context.uc_link = nullptr;
  makecontext(&f->context, body, 0);
}

Fiber* new_fiber() {
  Fiber* f = new Fiber();
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  f->stack = (char*)mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE, flags, -1, 0) + GUARD;
  mprotect(f->stack - GUARD, GUARD, PROT_NONE);  // a kernel that needs more stack ends at once
#if defined(EMU_TSAN)
  f->tsan = __tsan_create_fiber(0);
#endif
  prepare(f);
  return f;
}

// ---- meeting -------------------------------------------------------------------------------------

unsigned lanes_of(unsigned warp) {  // which lanes the warp has
  unsigned count = all.threads - warp * LANES;
  return count >= LANES ? ~0u : (1u << count) - 1;
}

// Let lanes go on that wait for each other and are all there; true if there were any.
bool open_warp(unsigned w) {
  Fiber** lane = &all.fibers[w * LANES];
  Warp& warp = all.warps[w];
  unsigned waiting = 0;
  for (unsigned l = 0; l < LANES && (lanes_of(w) >> l & 1); l++)
    if (lane[l]->state == AT_WARP) waiting |= 1u << l;
  bool any = false;
  for (unsigned l = 0; l < LANES; l++) {
    if (!(waiting >> l & 1)) continue;
    unsigned mask = lane[l]->mask & lanes_of(w);
    if ((mask & waiting) != mask) continue;
    for (unsigned m = 0; m < LANES; m++) {
      if (!(mask >> m & 1)) continue;
      Fiber* f = lane[m];
      if ((f->mask & lanes_of(w)) != mask) fail("lanes of one warp wait with different masks");
      else if (strcmp(f->what, lane[l]->what) || f->size != lane[l]->size)
        fail("lanes of one warp wait in different operations");
      // byte by byte: the thread sanitizer would take a call of memcpy for a write of no thread
      for (size_t k = 0; k < f->size; k++) ((volatile unsigned char*)warp.seen[m])[k] = f->brought[k];
      f->state = READY;
    }
    waiting &= ~mask;
    any = true;
  }
  if (any) warp.turn ^= 1;
  return any;
}

bool run_warp(unsigned w) {
  unsigned first = w * LANES, last = first + LANES;
  if (last > all.threads) last = all.threads;
  do {
    for (unsigned i = first; i < last; i++) {
      Fiber* f = all.fibers[all.order & 2 ? last - 1 - (i - first) : i];
      if (f->state == READY) enter(f);
      if (!all.error.empty()) return false;
    }
  } while (open_warp(w));
  for (unsigned i = first; i < last; i++) {
    Fiber* f = all.fibers[i];
    if (f->state == AT_WARP)
      fail((std::string("deadlock: lane ") + std::to_string(i - first) + " waits in " + f->what +
            " for lanes that left, or that sit at __syncthreads").c_str());
  }
  return all.error.empty();
}

bool run_block() {
  unsigned warps = (all.threads + LANES - 1) / LANES;
  // volatile: the shared variables may be watched by ASan, and memset would complain
  for (volatile char* p = all.launch->shared; p < all.launch->end; p++) *p = (char)0xFF;
  if (all.launch->dynamic) memset(block.dynamic, 0xFF, all.launch->dynamic);
  for (unsigned i = 0; i < all.threads; i++) {
    all.fibers[i]->state = READY;
    all.fibers[i]->open.clear();
    all.fibers[i]->groups.clear();
  }
  all.votes[all.turn] = 0;
  RELEASE(&all.begin);
  for (;;) {
    for (unsigned w = 0; w < warps; w++)
      if (!run_warp(all.order & 1 ? warps - 1 - w : w)) return false;
    unsigned ended = 0;
    for (unsigned i = 0; i < all.threads; i++) ended += all.fibers[i]->state == ENDED;
    if (ended == all.threads) break;
    if (ended) {
      fail(("deadlock: __syncthreads not reached by " + std::to_string(ended) + " of " +
            std::to_string(all.threads) + " threads").c_str());
      return false;
    }
    all.turn ^= 1;
    all.votes[all.turn] = 0;
    for (unsigned i = 0; i < all.threads; i++) all.fibers[i]->state = READY;
  }
  ACQUIRE(&all.end);
  return true;
}

}  // namespace

// ---- what kernels call ---------------------------------------------------------------------------

void fail(const char* what) {
  if (all.error.empty()) all.error = what;
}

unsigned meet_block(bool vote) {
  unsigned turn = all.turn;
  all.votes[turn] += vote;
  RELEASE(&all.barrier[turn]);
  running->state = AT_BLOCK;
  leave();
  ACQUIRE(&all.barrier[turn]);
  return all.votes[turn];
}

const Slot* meet_warp(unsigned mask, const char* what, const void* brought, size_t size) {
  Fiber* f = running;
  Warp& warp = all.warps[f->warp];
  if (!(mask >> f->place.lane & 1))
    fail((std::string(what) + " by a lane that is not in its own mask").c_str());
  for (size_t i = 0; i < size; i++) f->brought[i] = ((const unsigned char*)brought)[i];
  char* barrier = &warp.barrier[warp.turn];
  RELEASE(barrier);
  f->mask = mask, f->what = what, f->size = size;
  f->state = AT_WARP;
  leave();
  ACQUIRE(barrier);
  return warp.seen;
}

void note(const Copy& copy) { running->open.push_back(copy); }

void close_group() {
  running->groups.push_back(running->open);
  running->open.clear();
}

bool next_copy(unsigned keep, Copy* copy) {
  auto& groups = running->groups;
  while (groups.size() > keep && groups.front().empty()) groups.pop_front();
  if (groups.size() <= keep) return false;
  *copy = groups.front().front();
  groups.front().erase(groups.front().begin());
  return true;
}

const char* launch(const Launch& one) {
  all.launch = &one;
  all.error.clear();
  all.order = one.order;
  const unsigned *g = one.grid, *b = one.block;
  all.threads = b[0] * b[1] * b[2];
  char* dynamic = one.dynamic ? (char*)malloc(one.dynamic) : nullptr;  // exactly so many bytes
  block = {dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), dim3(), dynamic};
#if defined(EMU_TSAN)
  if (!all.tsan) all.tsan = __tsan_get_current_fiber();
#endif
  while (all.fibers.size() < all.threads) all.fibers.push_back(new_fiber());
  for (unsigned i = 0; i < all.threads; i++) {
    Fiber* f = all.fibers[i];
    f->warp = i / LANES;
    f->place = {dim3(i % b[0], i / b[0] % b[1], i / b[0] / b[1]), i % LANES};
  }
  size_t blocks = (size_t)g[0] * g[1] * g[2];
  for (size_t k = 0; k < blocks; k++) {
    size_t i = one.order & 1 ? blocks - 1 - k : k;
    block.index = dim3(i % g[0], i / g[0] % g[1], i / g[0] / g[1]);
    if (run_block()) continue;
    char where[64];
    snprintf(where, sizeof where, " (block %u,%u,%u)", block.index.x, block.index.y, block.index.z);
    all.error += where;
    for (Fiber* f : all.fibers) prepare(f);  // they stand somewhere inside the kernel
    break;
  }
  free(dynamic);
  return all.error.c_str();
}

}  // namespace emu
