// optim.cu: one step of many parameters at once, and what decides whether it is made.
//
//   sgd_steps    g' = (-g if maximize else g) / loss_scale + weight_decay p
//                v  = momentum v + (1 - dampening) g'           the first time v = g'
//                p -= lr (g' + momentum v if nesterov, else v, else g' without momentum)
//                caffe: v = momentum v + lr g', p -= v
//   begin        b = 1 of every array that has one, unless the step is left out
//   copies       p = g
//   not_finite   flag = 1 if an element of any array is infinite or nan
//   squares      sum x^2 in double: one partial sum per block, added up by `total` in their order
//   update_loss_scale   after an overflow  scale *= backoff;  after `interval` steps without one
//                scale *= growth, unless that is infinite
//
// A block owns a part of one array of a Group (group.cuh). A thread takes 16 bytes at a time where all
// arrays allow.
//
// Launch  sgd_steps, copies, not_finite: from[count] blocks of 256 threads. squares: at most 528 such
//         blocks. begin: 64 threads, one per array. clear, total, update_loss_scale: one thread
// Bytes   p, g and v read, p and v written; copies: g read, p written; not_finite, squares: x read
// REAL    elements; WIDE: what is computed in
// Builds  REAL=float|half16|bfloat16 WIDE=float
// Builds  REAL=double WIDE=double
#include "common.cuh"
#include "group.cuh"

constexpr int PACK = 16 / sizeof(REAL);
struct alignas(16) Pack { REAL at[PACK]; };

struct Rule {
  WIDE lr, momentum, keep, weight_decay, gain;  // keep = 1 - dampening, gain = 1 / loss_scale
  bool nesterov, maximize, caffe, first, has_v;
};

__device__ __forceinline__ void move(const Rule& r, WIDE& p, WIDE g, WIDE& v) {
  WIDE slope = (r.maximize ? -g : g) * r.gain + r.weight_decay * p;
  if (!r.has_v) {
    p -= r.lr * slope;
  } else if (r.caffe) {
    v = r.momentum * v + r.lr * slope;
    p -= v;
  } else {
    v = r.first ? slope : r.momentum * v + r.keep * slope;
    p -= r.lr * (r.nesterov ? slope + r.momentum * v : v);
  }
}

// The learning rate is read from `lr_at`, if that is no null; `skip` nonzero changes nothing. A step is
// the array's first if `first` says so, or if the array has a `b`, which is 0.
extern "C" __global__ void sgd_steps(
    const __grid_constant__ Group group, const double* lr_at, double lr, double momentum,
    double dampening, double weight_decay, bool nesterov, bool maximize, bool caffe, bool first,
    const int32* skip, const float* loss_scale) {
  if (skip && *skip) return;
  Part own = own_part(group);
  const int32* begun = (const int32*)group.b[own.k];
  Rule rule = {(WIDE)(lr_at ? *lr_at : lr), (WIDE)momentum, (WIDE)(1 - dampening), (WIDE)weight_decay,
               loss_scale ? (WIDE)(1.0 / *loss_scale) : WIDE(1), nesterov, maximize, caffe,
               first || (begun && *begun == 0), group.v[own.k] != 0};
  REAL *p = (REAL*)group.p[own.k], *v = (REAL*)group.v[own.k];
  const REAL* g = (const REAL*)group.g[own.k];
  bool wide_loads = ((group.p[own.k] | group.g[own.k] | group.v[own.k]) & 15) == 0;
  for (int64 i = own.first + threadIdx.x * PACK; i < own.stop; i += 256 * PACK) {
    if (wide_loads && i + PACK <= own.stop) {
      Pack ps = *(Pack*)(p + i), gs = *(const Pack*)(g + i), vs = v ? *(Pack*)(v + i) : gs;
#pragma unroll
      for (int k = 0; k < PACK; k++) {
        WIDE one = wide(ps.at[k]), speed = wide(vs.at[k]);
        move(rule, one, wide(gs.at[k]), speed);
        ps.at[k] = narrow<REAL>(one);
        vs.at[k] = narrow<REAL>(speed);
      }
      *(Pack*)(p + i) = ps;
      if (v) *(Pack*)(v + i) = vs;
      continue;
    }
    for (int64 e = i; e < i + PACK && e < own.stop; e++) {
      WIDE one = wide(p[e]), speed = v ? wide(v[e]) : WIDE(0);
      move(rule, one, wide(g[e]), speed);
      p[e] = narrow<REAL>(one);
      if (v) v[e] = narrow<REAL>(speed);
    }
  }
}

// After all blocks of sgd_steps have read b.
extern "C" __global__ void begin(const __grid_constant__ Group group, const int32* skip) {
  if (threadIdx.x >= group.count || (skip && *skip)) return;
  int32* begun = (int32*)group.b[threadIdx.x];
  if (begun) *begun = 1;
}

extern "C" __global__ void copies(const __grid_constant__ Group group) {
  Part own = own_part(group);
  REAL* p = (REAL*)group.p[own.k];
  const REAL* g = (const REAL*)group.g[own.k];
  bool wide_loads = ((group.p[own.k] | group.g[own.k]) & 15) == 0;
  for (int64 i = own.first + threadIdx.x * PACK; i < own.stop; i += 256 * PACK) {
    if (wide_loads && i + PACK <= own.stop) {
      *(Pack*)(p + i) = *(const Pack*)(g + i);
      continue;
    }
    for (int64 e = i; e < i + PACK && e < own.stop; e++) p[e] = g[e];
  }
}

// `flag` is 0 before. All write the same 1: which of them does, does not matter.
extern "C" __global__ void not_finite(const __grid_constant__ Group group, int32* flag) {
  Part own = own_part(group);
  const REAL* x = (const REAL*)group.p[own.k];
  bool wide_loads = (group.p[own.k] & 15) == 0, found = false;
  for (int64 i = own.first + threadIdx.x * PACK; i < own.stop; i += 256 * PACK) {
    if (wide_loads && i + PACK <= own.stop) {
      Pack xs = *(const Pack*)(x + i);
#pragma unroll
      for (int k = 0; k < PACK; k++) found = found || wide(xs.at[k]) - wide(xs.at[k]) != WIDE(0);
      continue;
    }
    for (int64 e = i; e < i + PACK && e < own.stop; e++) found = found || wide(x[e]) - wide(x[e]) != WIDE(0);
  }
  if (found) atomicMax(flag, 1);
}

extern "C" __global__ void clear(int32* flag) { *flag = 0; }

extern "C" __global__ void squares(const REAL* x, double* sums, int64 n) {
  __shared__ double room[256];
  double sum = 0;
  for (int64 i = line(); i < n; i += (int64)gridDim.x * 256) {
    double v = wide(x[i]);
    sum += v * v;
  }
  room[threadIdx.x] = sum;
  for (int left = 128; left > 0; left /= 2) {
    __syncthreads();
    if (threadIdx.x < left) room[threadIdx.x] += room[threadIdx.x + left];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = room[0];
}

extern "C" __global__ void total(const double* sums, double* sum, int count) {
  double all = 0;
  for (int k = 0; k < count; k++) all += sums[k];
  *sum = all;
}

extern "C" __global__ void update_loss_scale(
    float* scale, int32* good_steps, const int32* flag, double growth, double backoff, int interval) {
  if (*flag) {
    *scale = (float)(*scale * backoff);
    *good_steps = 0;
  } else if (*good_steps + 1 < interval) {
    *good_steps += 1;
  } else {
    float grown = (float)(*scale * growth);
    if (grown - grown == 0) *scale = grown;
    *good_steps = 0;
  }
}
