"""Data: images with one class index per pixel, from folders or drawn, and the loader."""

from __future__ import annotations

from minifcn.data.classes import Classes as Classes
from minifcn.data.hotdogs import HotDogs as HotDogs
