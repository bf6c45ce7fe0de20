// loss.cu: softmax and cross-entropy in one, and what labels pick and weigh.
//
// With s the smoothing and k = [the label counts], class c weighs at a pixel
//   q_c = k weight_c ((1 - s) [c = label] + s/C)        m = sum_c q_c
//   cross_entropy       loss = -sum_c q_c log softmax_c     top = max_c x_c, total = sum_c e^(x_c - top)
//   cross_entropy_grad  gx_c = gy (m softmax_c - q_c)
//   nll_loss            y = -k weight_label x_label
//   nll_loss_grad       gx_c = -k weight_c gy [c = label]
//   target_weight       y = m x
//
// 2^shift lanes of a warp own a pixel with its C classes (lines.cuh): one sector each time where the
// classes are neighbours in memory. A label that is no class is never an index: its loss is nan, and
// no gradient flows.
//
// Launch  ceil(pixels 2^shift / 256) blocks of 256 threads
// Bytes   cross_entropy: x read, 3 numbers per pixel written. Its gradient: x read, gx written
// REAL    elements; WIDE: what is computed in; LABEL: the type of labels
// Builds  REAL=float|half16|bfloat16 WIDE=float LABEL=uint8|int32|int64
// Builds  REAL=double WIDE=double LABEL=uint8|int32|int64
#include "lines.cuh"

// Of a pixel's label: does it count, and is it a class? The class where it is, else 0.
struct Label { bool counts, is_class; int c; };

__device__ __forceinline__ Label read_label(LABEL given, int C, int64 ignore) {
  int64 label = (int64)given;
  bool is_class = label >= 0 && label < C;
  return {label != ignore, is_class, is_class ? (int)label : 0};
}

__device__ __forceinline__ WIDE nan_of() { return (WIDE)__int_as_float(0x7fffffff); }

// s mean(weight), the same in every lane; all lanes of a warp must call.
__device__ __forceinline__ WIDE soft_mass(const REAL* weight, int C, double smoothing) {
  if (smoothing == 0) return 0;
  WIDE sum = 0;
  for (int c = threadIdx.x & 31; c < C; c += 32) sum += wide(weight[c]);
  return (WIDE)smoothing * line_sum(sum, 32) / C;
}

extern "C" __global__ void cross_entropy(
    const REAL* __restrict__ x, const LABEL* __restrict__ target, const REAL* __restrict__ weight,
    int64 ignore, double smoothing, REAL* __restrict__ loss, REAL* __restrict__ top, REAL* __restrict__ total,
    int64 pixels, int C, int64 inner, int shift) {
  WIDE soft = soft_mass(weight, C, smoothing);
  Line at = own_line(pixels, C, inner, shift);
  Peak p = peak(x, at, C, inner);
  WIDE flat = 0;
  if (smoothing != 0)
    for (int c = at.lane; c < C; c += at.lanes) flat += wide(weight[c]) * (wide(x[at.start + c * inner]) - p.top);
  flat = line_sum(flat, at.lanes);
  if (at.outside || at.lane > 0) return;
  Label label = read_label(target[at.number], C, ignore);
  WIDE log_total = log_of(p.total), hit = wide(x[at.start + label.c * inner]) - p.top;
  WIDE value = (WIDE)(1 - smoothing) * wide(weight[label.c]) * (log_total - hit);
  if (smoothing != 0) value += soft * log_total - (WIDE)smoothing * flat / C;
  if (!label.is_class) value = nan_of();
  loss[at.number] = narrow<REAL>(label.counts ? value : WIDE(0));
  top[at.number] = narrow<REAL>(p.top);
  total[at.number] = narrow<REAL>(p.total);
}

extern "C" __global__ void cross_entropy_grad(
    const REAL* __restrict__ gy, const REAL* __restrict__ x, const LABEL* __restrict__ target,
    const REAL* __restrict__ weight, const REAL* __restrict__ top, const REAL* __restrict__ total,
    int64 ignore, double smoothing, REAL* __restrict__ gx, int64 pixels, int C, int64 inner, int shift) {
  WIDE soft = soft_mass(weight, C, smoothing);
  Line at = own_line(pixels, C, inner, shift);
  if (at.outside) return;
  Label label = read_label(target[at.number], C, ignore);
  WIDE g = label.counts && label.is_class ? wide(gy[at.number]) : WIDE(0);
  WIDE own = (WIDE)(1 - smoothing) * wide(weight[label.c]);
  WIDE highest = wide(top[at.number]), share = g * (own + soft) / wide(total[at.number]);
  WIDE each = g * (WIDE)(smoothing / C);
  for (int c = at.lane; c < C; c += at.lanes) {
    int64 i = at.start + c * inner;
    WIDE v = exp_of(wide(x[i]) - highest) * share;
    if (smoothing != 0) v -= each * wide(weight[c]);
    gx[i] = narrow<REAL>(c == label.c ? v - g * own : v);
  }
}

extern "C" __global__ void nll_loss(
    const REAL* __restrict__ x, const LABEL* __restrict__ target, const REAL* __restrict__ weight,
    int64 ignore, REAL* __restrict__ y, int64 pixels, int C, int64 inner) {
  if (line() >= pixels) return;
  Line at = own_line(pixels, C, inner, 0);
  Label label = read_label(target[at.number], C, ignore);
  WIDE value = label.is_class ? -wide(weight[label.c]) * wide(x[at.start + label.c * inner]) : nan_of();
  y[at.number] = narrow<REAL>(label.counts ? value : WIDE(0));
}

extern "C" __global__ void nll_loss_grad(
    const REAL* __restrict__ gy, const LABEL* __restrict__ target, const REAL* __restrict__ weight,
    int64 ignore, REAL* __restrict__ gx, int64 pixels, int C, int64 inner, int shift) {
  Line at = own_line(pixels, C, inner, shift);
  if (at.outside) return;
  Label label = read_label(target[at.number], C, ignore);
  bool flows = label.counts && label.is_class;
  WIDE own = flows ? -wide(weight[label.c]) * wide(gy[at.number]) : WIDE(0);
  for (int c = at.lane; c < C; c += at.lanes)
    gx[at.start + c * inner] = narrow<REAL>(flows && c == label.c ? own : WIDE(0));
}

extern "C" __global__ void target_weight(
    const REAL* __restrict__ x, const LABEL* __restrict__ target, const REAL* __restrict__ weight,
    int64 ignore, double smoothing, REAL* __restrict__ y, int64 pixels, int C) {
  WIDE soft = soft_mass(weight, C, smoothing);
  int64 i = line();
  if (i >= pixels) return;
  Label label = read_label(target[i], C, ignore);
  WIDE mass = (WIDE)(1 - smoothing) * wide(weight[label.c]) + soft;
  WIDE value = label.is_class ? wide(x[i]) * mass : nan_of();
  y[i] = narrow<REAL>(label.counts ? value : WIDE(0));
}
