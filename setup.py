"""Metadata of minifcn: what it is called, what it needs, what it installs."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """Read `__version__` as text: building must not need NumPy, so it must not import minifcn."""
    source = (HERE / "minifcn" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__(?:\s*:\s*\w+)?\s*=\s*"([^"]+)"', source, re.MULTILINE)
    if found is None:
        raise RuntimeError('minifcn/__init__.py has no line __version__ = "..."')
    return found.group(1)


# The engine imports NumPy alone. The others are small and serve the `minifcn` command: it reads
# and writes images (Pillow), keeps checkpoints (safetensors), shows progress (tqdm), and trains
# with one BLAS thread (threadpoolctl).
CORE = ["numpy>=2,<3", "pillow>=10.1", "safetensors>=0.4", "threadpoolctl>=3.5", "tqdm>=4.60"]

EXTRAS = {
    "mpi": ["mpi4py>=4"],  # a training on several machines
    # A GPU; [ctk] brings CUDA's compiler and headers, which CuPy alone does not.
    "cuda12": ["cupy-cuda12x[ctk]>=14,<15", "ml_dtypes>=0.5"],
    "cuda13": ["cupy-cuda13x[ctk]>=14,<15", "ml_dtypes>=0.5"],
    "video": ["av>=12"],  # films in and out of `minifcn predict`; animated GIF needs nothing
    # For notebooks and plots of your own; the package draws by itself.
    "plots": ["matplotlib>=3.8"],
    "onnx": ["onnx>=1.16"],  # networks to and from ONNX files
    "onnx-test": ["onnx>=1.16", "onnxruntime>=1.17"],  # and to compare them with another runtime
    # For those who work on minifcn itself.
    "test": ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "ml_dtypes>=0.5"],
    # Compiles the CUDA kernels where there is no GPU; runtime has the headers of half precision.
    "nvrtc": ["nvidia-cuda-nvrtc==13.*", "nvidia-cuda-runtime==13.*"],
    # A formatter or a type checker of another minor release judges otherwise, so these are held.
    "dev": ["ruff==0.17.*", "mypy==2.4.*", "types-tqdm"],
}

setup(
    name="minifcn",
    version=version(),
    description="Fully convolutional networks from scratch in NumPy, readable and checked",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The minifcn developers",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["minifcn", "minifcn.*"]),
    package_data={"minifcn": ["py.typed", "**/*.cu", "**/*.cuh", "**/*.json", "live/page/*"]},
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["minifcn = minifcn.cli:main"]},
    keywords=["autograd", "deep learning", "semantic segmentation", "FCN", "NumPy", "CuPy"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
