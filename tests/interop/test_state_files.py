"""Which kind of file it is, told by its first bytes."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from minifcn.interop import read_state


@pytest.mark.parametrize("wide", range(0, 256, 8))
def test_a_header_of_any_length_is_taken_for_what_it_is(wide, tmp_path):
    """A header of 640 bytes begins with 0x80 0x02, as a pickle does."""
    path, meta = tmp_path / "weights.safetensors", {"filled": "x" * (400 + wide)}
    save_file({"a": np.arange(3.0)}, path, meta)
    np.testing.assert_array_equal(read_state(path)["a"], np.arange(3.0))
