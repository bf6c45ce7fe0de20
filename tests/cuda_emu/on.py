"""`import tests.cuda_emu.on`: from here on this process has the device "cuda"."""

from .stand_in import install

install()
