"""The emulator of tests/cuda_emu: what kernels mean. On a GPU the same runs on the real CuPy."""

from typing import Any

import numpy as np
import pytest

from tests.cuda_emu import Cuda
from tests.kernels.cuda_trial import COPY, HALVES, kernel, launch, on_device, ptx, result_of

# ---- what kernels mean ---------------------------------------------------------------------------


def test_indices_of_threads_and_blocks(cuda: Cuda) -> None:
    body = """
      int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
      int i = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
      int n = blockDim.x * blockDim.y * blockDim.z;
      y[b * n + i] = 100 * b + i;
    """
    got = result_of(kernel(body), size=12 * 30, grid=(3, 2, 2), block=(5, 2, 3))
    assert got.tolist() == [100 * b + i for b in range(12) for i in range(30)]


def test_shared_memory_and_barriers(cuda: Cuda) -> None:
    body = "__shared__ int s[64]; s[t] = t; __syncthreads(); y[t] = s[63 - t];"
    assert result_of(kernel(body)).tolist() == list(range(64))[::-1]


def test_dynamic_shared_memory(cuda: Cuda) -> None:
    inside = kernel(
        "extern __shared__ int room[]; room[t] = t; __syncthreads(); y[t] = room[t ^ 1];"
    )
    above = "extern __shared__ __align__(16) char room[];\n" + kernel(
        "int* own = (int*)room; own[t] = t; __syncthreads(); y[t] = own[t ^ 1];"
    )
    for source in (inside, above):
        assert result_of(source, shared=256).tolist() == [t ^ 1 for t in range(64)]


def test_shared_memory_in_a_helper_and_in_a_template(cuda: Cuda) -> None:
    helpers = """
      __device__ __forceinline__ int around(int t) {
        __shared__ int s[64]; s[t] = t; __syncthreads(); return s[(t + 1) % 64];
      }
      template <class T> __device__ T back(T t) {
        __shared__ T s[64]; s[t] = t; __syncthreads(); return s[(t + 63) % 64];
      }
    """
    got = result_of(helpers + kernel("y[t] = 100 * around(t) + back<int>(t);"))
    assert got.tolist() == [100 * ((t + 1) % 64) + (t + 63) % 64 for t in range(64)]


@pytest.mark.parametrize(
    ("call", "source"),
    [
        ("__shfl_sync(~0u, t, 3)", lambda t: t // 32 * 32 + 3),
        ("__shfl_sync(~0u, t, 9, 8)", lambda t: t // 8 * 8 + 1),
        ("__shfl_xor_sync(~0u, t, 5)", lambda t: t ^ 5),
        ("__shfl_down_sync(~0u, t, 4)", lambda t: t + 4 if t % 32 < 28 else t),
        ("__shfl_down_sync(~0u, t, 3, 8)", lambda t: t + 3 if t % 8 < 5 else t),
        ("__shfl_up_sync(~0u, t, 2)", lambda t: t - 2 if t % 32 >= 2 else t),
        ("(int)__shfl_xor_sync(~0u, (double)t, 16)", lambda t: t ^ 16),
        ("(int)__shfl_xor_sync(~0u, (long long)t << 40, 1) >> 40", lambda t: 0),
    ],
)
def test_shuffles(cuda: Cuda, call: str, source: Any) -> None:
    assert result_of(kernel(f"y[t] = {call};")).tolist() == [source(t) for t in range(64)]


def test_halves_of_a_warp_shuffle_apart(cuda: Cuda) -> None:
    """Lanes that have met more often than others still get what was brought this time."""
    body = """
      unsigned own = t % 32 < 16 ? 0xFFFFu : 0xFFFF0000u;
      int v = t;
      if (t % 32 < 16) v = __shfl_xor_sync(own, v, 1);
      v = __shfl_xor_sync(~0u, v, 31);
      y[t] = __shfl_xor_sync(own, v, 2);
    """

    def expected(t: int) -> int:
        other = t ^ 2 ^ 31
        return other ^ 1 if other % 32 < 16 else other

    assert result_of(kernel(body)).tolist() == [expected(t) for t in range(64)]


def test_votes(cuda: Cuda) -> None:
    body = """
      y[t] = (int)__ballot_sync(~0u, t % 3 == 0);
      y[64 + t] = __any_sync(~0u, t == 40) + 2 * __all_sync(~0u, t < 32);
      y[128 + t] = __syncthreads_count(t % 2) + 100 * __syncthreads_and(t < 63);
      y[128 + t] += 1000 * __syncthreads_or(t == 5);
    """
    got = result_of(kernel(body), size=192)
    ballots = [sum(1 << t for t in range(32) if (32 * w + t) % 3 == 0) for w in (0, 1)]
    assert got[:64].view("u4").tolist() == [ballots[t // 32] for t in range(64)]
    assert got[64:128].tolist() == [2] * 32 + [1] * 32
    assert got[128:].tolist() == [1032] * 64


def test_atomics(cuda: Cuda) -> None:
    body = """
      atomicAdd(&y[0], t); atomicMax(&y[1], t); atomicMin(&y[2], -t); atomicExch(&y[3], 7);
      if (atomicCAS(&y[4], -1, t) == -1) y[5] = 1;
    """
    got = result_of(kernel(body))
    assert got[:4].tolist() == [-1 + 63 * 32, 63, -63, 7] and got[5] == 1 and 0 <= got[4] < 64


def test_vectors_lie_as_on_a_gpu(cuda: Cuda) -> None:
    names = "char2 uchar4 short2 ushort4 int3 int4 float2 float3 float4 double2 longlong2".split()
    body = "".join(
        f"y[{2 * i}] = sizeof({n}); y[{2 * i + 1}] = alignof({n});" for i, n in enumerate(names)
    )
    got = result_of(kernel(body), block=(1,)).tolist()[: 2 * len(names)]
    sizes = [2, 4, 4, 8, 12, 16, 8, 12, 16, 16, 16]
    aligns = [2, 4, 4, 8, 4, 16, 8, 4, 16, 16, 16]
    assert got == [v for pair in zip(sizes, aligns, strict=True) for v in pair]


# ---- halves --------------------------------------------------------------------------------------


def wild_floats() -> Any:
    """Floats of every size, with the edges of both halves and their neighbours."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32)
    edges = np.array(
        [0.0, 65504, 65519.99, 65520, 2**-14, 2**-24, 2**-25, np.inf, 1, 3.3895e38], "f4"
    )
    near = [np.nextafter(edges, np.float32(way), dtype="f4") for way in (-np.inf, np.inf)]
    return np.concatenate([bits.view("f4"), edges, -edges, *near])


@pytest.mark.parametrize("kind", ["half", "bfloat16"])
def test_rounding_to_halves_and_back(cuda: Cuda, kind: str) -> None:
    """To nearest, ties to even, as NumPy and ml_dtypes round; every half comes back unchanged."""
    if kind == "half":
        dtype, narrow, wide, c = np.dtype("f2"), "__float2half_rn", "__half2float", "__half"
    else:
        dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
        narrow, wide, c = "__float2bfloat16", "__bfloat162float", "__nv_bfloat16"
    source = HALVES + kernel(
        f"for (int i = t; i < n; i += 64) {{ z[i] = {narrow}(x[i]); w[i] = {wide}(z[i]); }}",
        f"const float* x, {c}* z, float* w, int n",
    )
    x = wild_floats()
    z, w = on_device(np.zeros(x.size, dtype)), on_device(np.zeros(x.size, "f4"))
    launch(source, on_device(x), z, w, np.int32(x.size))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(dtype)
    real = ~np.isnan(x)
    assert np.array_equal(z.get()[real].view("u2"), expected[real].view("u2"))
    assert np.isnan(z.get()[~real].astype("f4")).all()
    assert np.array_equal(w.get()[real], expected[real].astype("f4"))


# ---- tensor cores --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "K"), [("f16", 16), ("bf16", 16), ("tf32", 8)])
def test_mma_is_a_matrix_product(cuda: Cuda, kind: str, K: int) -> None:
    """Fragments as the PTX manual has them, filled by hand: d += a b, 16 x K by K x 8."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-8, 9, (16, K)).astype("f4"), rng.integers(-8, 9, (K, 8)).astype("f4")
    low = {"f16": "f2", "bf16": None, "tf32": "f4"}[kind]
    dtype = np.dtype(low) if low else np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    words_a = np.ascontiguousarray(a.astype(dtype)).view("u4")  # 16 rows of 8 words
    words_b = np.ascontiguousarray(b.T.astype(dtype)).view("u4")  # 8 columns of 8 words
    source = ptx() + kernel(
        f"""
        int g = t / 4, c = t % 4;
        const unsigned *upper = x + g * 8, *lower = x + (g + 8) * 8, *column = w + g * 8;
        unsigned a[4] = {{upper[c], lower[c], upper[c + 4], lower[c + 4]}};
        unsigned b[2] = {{column[c], column[c + 4]}};
        float d[4] = {{1, 1, 1, 1}};
        mma_{kind}(d, a, b);
        for (int i = 0; i < 4; i++) y[(g + 8 * (i / 2)) * 8 + 2 * c + i % 2] = d[i];
        """,
        "float* y, const unsigned* x, const unsigned* w",
    )
    got = result_of(
        source, on_device(words_a), on_device(words_b), size=128, dtype="f4", block=(32,)
    )
    assert np.array_equal(got.reshape(16, 8), a @ b + 1)


def test_ldmatrix(cuda: Cuda) -> None:
    body = """
      __shared__ __align__(16) unsigned short s[32 * 8];
      for (int i = t; i < 256; i += 32) s[i] = i;
      __syncthreads();
      unsigned r[4], q[4];
      ldmatrix_x4(r, s + 8 * t);
      ldmatrix_x4_trans(q, s + 8 * t);
      for (int m = 0; m < 4; m++) { y[m * 32 + t] = r[m]; y[128 + m * 32 + t] = q[m]; }
    """
    got = result_of(ptx() + kernel(body), size=256, block=(32,)).view("u4").view("u2")
    matrices = np.arange(256, dtype="u2").reshape(4, 8, 8)
    assert np.array_equal(got[:256].reshape(4, 8, 8), matrices)
    assert np.array_equal(got[256:].reshape(4, 8, 8), matrices.transpose(0, 2, 1))


def test_asynchronous_copies(cuda: Cuda) -> None:
    """What is beyond the bytes that are read is zero."""
    x = np.arange(1, 65, dtype="f4")
    source = ptx() + kernel(COPY % "cp_async_wait<1>();", "float* y, const float* x")
    got = result_of(source, on_device(x), dtype="f4")
    assert np.array_equal(got, np.where(np.arange(64) < 49, x, 0))
