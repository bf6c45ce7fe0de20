"""A captured step: what it may rely on, and what others may."""

import numpy as np
import pytest

from tests.cuda_emu import Cuda
from tests.devices import host, on


def test_work_sent_before_is_done_before(cuda: Cuda) -> None:
    import cupy

    from minifcn.kernels import cupy_kernels as k
    from minifcn.kernels.cupy_kernels.capture import own_stream

    x = on("cuda", np.arange(5.0))
    with cupy.cuda.Stream(non_blocking=True):
        y = k.scale(x, 2.0)
        with own_stream():
            seen = host(k.scale(y, 1.0)).tolist()
            z = k.scale(y, 3.0)
        y = k.scale(z, 5.0)  # and what comes after waits in turn
        assert seen == [0.0, 2.0, 4.0, 6.0, 8.0]
        assert host(y).tolist() == [0.0, 30.0, 60.0, 90.0, 120.0]


def test_memory_between_the_kernels_of_a_graph_is_nobody_elses(cuda: Cuda) -> None:
    from minifcn.kernels import cupy_kernels as k
    from minifcn.kernels.cupy_kernels.capture import Recorded, own_stream

    x = on("cuda", np.arange(4096.0))
    with own_stream() as stream:
        recorded = Recorded(lambda: k.scale(k.scale(x, 2.0), 3.0), stream)
        others = [k.full(x.shape, 7.0, x) for _ in range(4)]
        recorded()
        assert recorded.nbytes >= 2 * x.nbytes
        np.testing.assert_array_equal(host(recorded.result), 6 * host(x))
        for one in others:
            assert (host(one) == 7).all()


def test_a_step_has_sixteen_flags(cuda: Cuda) -> None:
    from minifcn.kernels.cupy_kernels.numbers import FLAGS, Flags, kept_in

    flags = Flags()
    for _ in range(2):  # every step may use them all
        with kept_in(flags):
            places = [flags.flag() for _ in range(FLAGS)]
            assert [one.shape for one in places] == [(1,)] * FLAGS
            with pytest.raises(RuntimeError, match=f"more than {FLAGS} times"):
                flags.flag()
