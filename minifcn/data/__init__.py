"""Data: images with one class index per pixel, from folders or drawn, and the loader."""

from __future__ import annotations

from .classes import Classes as Classes
from .classes import voc_colours as voc_colours
from .folder import DataError as DataError
from .folder import FolderDataset as FolderDataset
from .hotdogs import HotDogs as HotDogs
from .loader import Dataset as Dataset
from .loader import Loader as Loader
from .loader import Normalize as Normalize
from .shrunk import Shrunk as Shrunk
from .transforms import ColourJitter as ColourJitter
from .transforms import Compose as Compose
from .transforms import RandomCrop as RandomCrop
from .transforms import RandomFlip as RandomFlip
from .transforms import RandomScale as RandomScale
from .transforms import Resize as Resize
