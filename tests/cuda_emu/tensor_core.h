// tensor_core.h: mma.sync, ldmatrix and cp.async, under the names that cuda/ptx.cuh gives them.
//
// Fragments of mma.sync as the PTX manual has them. With g = lane / 4, t = lane % 4, and a word
// (two halves, or one tf32 number) per register:
//   A (16 rows)  a[i]: row g + 8 (i % 2), word t + 4 (i / 2) of the row
//   B (8 cols)   b[i]: column g, word t + 4 i of the column
//   D (16 x 8)   d[i]: row g + 8 (i / 2), column 2 t + i % 2
#pragma once
#include "half.h"
#include "runtime.h"

namespace emu {
enum Element { HALF, BFLOAT, TF32 };
struct Fragments { unsigned a[4], b[2]; };

template <Element E> inline float element(unsigned word, int part) {
  if (E == TF32) return emu_bits<float>(word & 0xFFFFE000u);  // the low 13 bits are not looked at
  unsigned short bits = word >> 16 * part;
  return E == HALF ? emu_widened(bits) : emu_bits<float>((unsigned)bits << 16);
}

template <Element E>
inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  constexpr int PARTS = E == TF32 ? 1 : 2;
  Fragments mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const Slot* seen = meet_warp(~0u, "mma.sync", &mine, sizeof mine);
  int g = here->lane >> 2, t = here->lane & 3;
  for (int i = 0; i < 4; i++) {
    int row = g + 8 * (i >> 1), column = 2 * t + (i & 1);
    for (int word = 0; word < 8; word++) {
      auto& left = *(const Fragments*)seen[4 * (row & 7) + (word & 3)];
      auto& right = *(const Fragments*)seen[4 * column + (word & 3)];
      unsigned x = left.a[(row >> 3) + 2 * (word >> 2)], y = right.b[word >> 2];
      for (int part = 0; part < PARTS; part++) d[i] += element<E>(x, part) * element<E>(y, part);
    }
  }
}

// Four 8x8 matrices of 16-bit words; lane l names row l % 8 of matrix l / 8. Each lane gets two
// neighbours of row g of every matrix, or of column g if the matrices are to be transposed.
template <bool TRANSPOSED> inline void ldmatrix(unsigned (&r)[4], const void* row) {
  if ((size_t)row & 15) fail("ldmatrix: the address of a row is no multiple of 16");
  const Slot* seen = meet_warp(~0u, "ldmatrix", &row, sizeof row);
  const unsigned short* rows[LANES];
  for (unsigned l = 0; l < LANES; l++) memcpy(&rows[l], seen[l], sizeof rows[l]);
  int g = here->lane >> 2, t = here->lane & 3;
  for (int m = 0; m < 4; m++) {
    unsigned pair[2];
    for (int h = 0; h < 2; h++)
      pair[h] = TRANSPOSED ? rows[8 * m + 2 * t + h][g] : rows[8 * m + g][2 * t + h];
    r[m] = pair[0] | pair[1] << 16;
  }
}
}  // namespace emu

inline void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { emu::mma<emu::HALF>(d, a, b); }
inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { emu::mma<emu::BFLOAT>(d, a, b); }
inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { emu::mma<emu::TF32>(d, a, b); }
inline void ldmatrix_x4(unsigned (&r)[4], const void* row) { emu::ldmatrix<false>(r, row); }
inline void ldmatrix_x4_trans(unsigned (&r)[4], const void* row) { emu::ldmatrix<true>(r, row); }
// To nearest, halves away from zero: cvt.rna. A nan stays one, also that of memory nobody wrote.
inline unsigned cvt_tf32(float x) {
  return x != x ? 0x7FFFE000u : (emu_bits<unsigned>(x) + 0x1000u) & 0xFFFFE000u;
}

// 16 bytes to shared memory, of which the first `bytes` are read and the others are zero.
inline void cp_async16(void* to, const void* from, unsigned bytes) {
  if (((size_t)to & 15) || (bytes && ((size_t)from & 15))) emu::fail("cp.async: an address is no multiple of 16");
  if (bytes > 16) emu::fail("cp.async: more than 16 bytes");
  emu::note({(unsigned char*)to, (const unsigned char*)from, bytes, 16});
}
inline void cp_async_commit() { emu::close_group(); }
// Wait until at most N of the own groups are under way.
template <int N> inline void cp_async_wait() {
  for (emu::Copy c; emu::next_copy(N, &c);)
    for (unsigned i = 0; i < c.filled; i++) c.to[i] = i < c.size ? c.from[i] : 0;
}
