"""The bugs that planted.py plants: a text of a kernel, what stands there instead, who finds it."""

from __future__ import annotations

from dataclasses import dataclass

CONTRACT = "tests/test_contract.py::test_the_fast_kernel_equals_the_loops"
LAYOUTS = "tests/test_contract.py::test_any_layout_in_memory_gives_the_same"
FAR = "tests/kernels/test_cuda_far.py"
ORDERS = "tests/kernels/test_cuda_orders.py"
STRUCTURE = "tests/kernels/test_cuda_structure.py"
LOSS = "tests/kernels/test_cuda_loss.py"
CONV = "tests/kernels/test_cuda_conv.py"
NORM = "tests/kernels/test_cuda_norm.py"
EDGES = "tests/kernels/test_cuda_edges.py"
TENSOR = "tests/kernels/test_cuda_tensor.py"
CAST = "tests/kernels/test_cuda_cast.py"
OPTIM = "tests/kernels/test_cuda_optim.py"


@dataclass(frozen=True)
class Bug:
    """One bug; `old` occurs once in the file."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]  # files or tests that are run
    words: str  # which of them, as pytest's -k has it
    caught: tuple[str, ...]  # the checks that must find it; others may

    def selection(self) -> tuple[str, ...]:
        return (*self.tests, "-k", f"({self.words}) and not cpu")


BUGS = [
    Bug(
        "a wide store beyond the last element",
        "elementwise.cu",
        "bool whole = first + PACK <= n &&",
        "bool whole = first + PACK <= n + 1 &&",
        (EDGES,), "any_length and float32", ("reports", "address"),
    ),
    Bug(
        "the last element of a ragged end is left out",
        "elementwise.cu",
        "i < n && i < first + PACK",
        "i < n - 1 && i < first + PACK",
        (CONTRACT,), "sigmoid or tanh", ("values",),
    ),
    Bug(
        "a wide load from an address that does not fit",
        "elementwise.cu",
        "return ((uint64)p & 15) == 0;",
        "return ((uint64)p & 3) == 0;",
        (EDGES,), "sigmoid or tanh", ("address",),
    ),
    Bug(
        "a missing bounds check",
        "random.cu",
        "  if (i < n) y[i] = narrow<REAL>((mask[i]",
        "  y[i] = narrow<REAL>((mask[i]",
        (CONTRACT,), "dropout", ("reports", "address"),
    ),
    Bug(
        "threads beyond the end write what others own",
        "copy.cu",
        "if (i < n) y[place",
        "y[place",
        (LAYOUTS,), "reversed and relu-", ("thread",),
    ),
    Bug(
        "an offset of 32 bits in a view",
        "common.cuh",
        "  int64 at = 0;\n",
        "  int32 at = 0;\n",
        (FAR,), "copy", ("values",),
    ),
    Bug(
        "an offset of 32 bits in an image",
        "conv_plain.cu",
        "image[l] + ((int64)i *",
        "image[l] + (i *",
        (FAR,), "conv2d-plain", ("values", "address"),
    ),
    Bug(
        "the last step of a warp's tree is left out",
        "reduce.cu",
        "for (int far = 16; far > 0; far /= 2) fold.meet(far);",
        "for (int far = 16; far > 1; far /= 2) fold.meet(far);",
        (STRUCTURE,), "sums_over_any_axes and f4", ("values",),
    ),
    Bug(
        "a shuffle that some lanes do not reach",
        "lines.cuh",
        "  return {number, block * A",
        "  if (outside) return {number, 0, 0, 1, true};\n  return {number, block * A",
        (LOSS,), "softmax_along_every_axis", ("reports",),
    ),
    Bug(
        "a struct copied to local memory to be indexed",
        "copy.cu",
        "const WORD* x, const __grid_constant__ View from",
        "const WORD* x, const View from",
        (LAYOUTS,), "reversed and relu-", ("nvrtc",),
    ),
    Bug(
        "a missing barrier in a tree of sums",
        "norm_sums.cu",
        "left = (left + 1) / 2) {  // rows of threads still to be joined\n    __syncthreads();\n",
        "left = (left + 1) / 2) {\n",
        (NORM,), "moments", ("values", "thread"),
    ),
    Bug(
        "a barrier that some threads do not reach",
        "norm_sums.cu",
        "    if (threadIdx.y + (left + 1) / 2 < left && shared_n[other] > 0) {\n",
        "    if (threadIdx.y + (left + 1) / 2 < left && shared_n[other] > 0) {\n__syncthreads();\n",
        (NORM,), "moments", ("reports",),
    ),
    Bug(
        "sums made by atomics",
        "norm_sums.cu",
        "  for (int left = blockDim.y; left > 1; left = (left + 1) / 2) {\n    __syncthreads();",
        "  __syncthreads();\n"
        "  if (threadIdx.y > 0)\n"
        "    for (int k = 0; k < PACK; k++) {\n"
        "      atomicAdd(&shared_w[threadIdx.x * PACK + k], w[k]);\n"
        "      atomicAdd(&shared_b[threadIdx.x * PACK + k], b[k]);\n"
        "    }\n"
        "  __syncthreads();\n"
        "  for (int left = 0; left > 1; left = (left + 1) / 2) {\n    __syncthreads();",
        (ORDERS,), "batch_norm", ("values",),
    ),
    Bug(
        "a missing barrier between two tiles",
        "tile.cuh",
        "    __syncthreads();\n  }\n  if (count",
        "  }\n  if (count",
        (CONTRACT,), "conv2d or mat_mul", ("values", "orders", "thread"),
    ),
    Bug(
        "zeros that are not filled in",
        "tile.cuh",
        "for (int i = 0; i < V; i++) pack[l].at[i] = narrow<REAL>(0);",
        "for (int i = 0; i < V; i++) pack[l].at[i] = narrow<REAL>(1);",
        (CONTRACT,), "conv2d", ("values",),
    ),
    Bug(
        "the padding forgotten in the phase of a stride",
        "conv.cuh",
        "  axis.start = (int32)(((int64)a + p - (int64)d * axis.tap) / s);",
        "  axis.start = (int32)(((int64)a - (int64)d * axis.tap) / s);",
        (CONTRACT,), "conv_transpose2d", ("values",),
    ),
    Bug(
        "the offset of a group forgotten",
        "conv_plain.cu",
        "Source a(x + (int64)place.group * depth,",
        "Source a(x,",
        (CONV,), "every_way_is_the_loops and plain-float32", ("values",),
    ),
    Bug(
        "halves of a fragment swapped",
        "tensor_tile.cuh",
        "b + j * 16 * 64);\n    f.b[2 * j][0] = two[0], f.b[2 * j][1] = two[1];",
        "b + j * 16 * 64);\n    f.b[2 * j][0] = two[1], f.b[2 * j][1] = two[0];",
        (TENSOR,), "columns_of_several_tiles and float16", ("values",),
    ),
    Bug(
        "one group of copies too few waited for",
        "tensor_tile.cuh",
        "    cp_async_wait<STAGES - 2>();",
        "    cp_async_wait<STAGES - 1>();",
        (TENSOR,), "columns_of_several_tiles and float16", ("values",),
    ),
    Bug(
        "a stage overwritten while it is read",
        "tensor_tile.cuh",
        "    __syncthreads();              // and no one reads",
        "    // and no one reads",
        (TENSOR,), "columns_of_several_tiles and float16", ("thread",),
    ),
    Bug(
        "a swizzle that leaves its line",
        "tensor_tile.cuh",
        "((chunk ^ (row >> 1 & 3)) << 4)",
        "((chunk ^ (row >> 1 & 7)) << 4)",
        (TENSOR,), "columns_of_several_tiles and float16", ("values",),
    ),
    Bug(
        "a pixel beside the image is read",
        "pool.cu",
        "  return {first, last < P ? last : P - 1};",
        "  return {first, last < P ? last : P};",
        (CONTRACT,), "pool_grad", ("address",),
    ),
    Bug(
        "every channel counts the batch",
        "norm_sums.cu",
        "  if (count && c == 0) *count += 1;",
        "  if (count) *count += 1;",
        (NORM,), "moves_with and float32 and none", ("values", "thread"),
    ),
    Bug(
        "a cast whose address does not fit",
        "cast.cu",
        "return (uint64)x % sizeof(Source) == 0 && ",
        "return (uint64)x % sizeof(FROM) == 0 && ",
        (CAST,), "begin_anywhere", ("address",),
    ),
    Bug(
        "an array that is one block too long",
        "group.cuh",
        "    if (group.from[middle] <= block) low = middle; else high = middle;",
        "    if (group.from[middle] < block) low = middle; else high = middle;",
        (OPTIM,), "more_parameters_than_one_launch", ("values",),
    ),
    Bug(
        "a missing barrier before the sums of a mean meet",
        "label_mean.cu",
        "  for (int left = 128; left > 0; left /= 2) {\n    __syncthreads();",
        "  __syncthreads();\n  for (int left = 128; left > 0; left /= 2) {",
        (CONTRACT,), "label_mean and float32", ("values", "thread"),
    ),
]  # fmt: skip
