"""The FCN family in minifcn and in PyTorch: same names, same weights, same pictures, same logits.

PyTorch's module draws its weights, its norms look at a picture, its state dict goes into a
safetensors file; minifcn loads the file by name and must give the same logits:

    error = max |ours - theirs| / max |theirs|, at most 1e-4, in float32, at sizes of any parity

    python benchmarks/parity_models.py --json benchmarks/results/parity_models.json

Exits with 1 if a model differs. Needs PyTorch, and 4 GB of memory for VGG16 (`--only` chooses).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.report import finish, parser, table
from bench.torch_segmentation import twin_of
from safetensors.torch import save_file

import minifcn as mf
from minifcn import nn
from minifcn.interop import load_weights
from minifcn.models import build

LIMIT = 1e-4
LARGE = [(224, 224), (97, 130), (33, 65)]
ANY = [(64, 96), (97, 131), (30, 17), (1, 1)]
QUICK = [(37, 50), (32, 33)]


def fcn(name: str, skips: int, **options: Any) -> dict[str, Any]:
    encoder = {"name": name, **options}
    return {"name": "fcn", "encoder": encoder, "classes": 5, "skips": skips}


# title -> config, sizes; each config is completed by the model's own
CASES: dict[str, tuple[dict[str, Any], list[tuple[int, int]]]] = {
    "squeezenet1_1": ({"name": "squeezenet1_1"}, LARGE),
    "resnet18": ({"name": "resnet18"}, LARGE),
    "resnet34": ({"name": "resnet34"}, LARGE),
    "resnet50": ({"name": "resnet50"}, LARGE),
    "resnet50 dilated": ({"name": "resnet50", "dilate": [False, True, True]}, LARGE[1:]),
    "vgg16": ({"name": "vgg16"}, LARGE),
    "fcn_resnet50": ({"name": "fcn_resnet50", "aux": True}, ANY),
    "fcn squeezenet1_1, 3 skips": (fcn("squeezenet1_1", 3), ANY),
    "fcn squeezenet1_1, no skip": (fcn("squeezenet1_1", 0), ANY),
    "fcn resnet18, 2 skips": (fcn("resnet18", 2), ANY),
    "fcn resnet34 dilated": (fcn("resnet34", 3, dilate=[False, True, True]), ANY),
    "fcn resnet50, no skip": (fcn("resnet50", 0), ANY),
    "fcn vgg16, 8s": (fcn("vgg16", 2), ANY),
    "fcn_vgg16 32s": ({"name": "fcn_vgg16", "skips": 0, "hidden": 256}, ANY[1:3]),
    "fcn_vgg16 8s": ({"name": "fcn_vgg16", "skips": 2, "hidden": 256}, ANY[1:]),
    "fcn_vgg16 8s at once, zero": (
        {"name": "fcn_vgg16", "geometry": "zero", "at_once": True, "hidden": 256}, ANY),
    "unet": ({"name": "unet", "classes": 3}, ANY),
    "unet valid": ({"name": "unet", "classes": 3, "width": 16, "padding": "valid"},
                   [(188, 188), (204, 220), (211, 190)]),
    "unet resize, norm": (
        {"name": "unet", "classes": 3, "width": 16, "up": "resize", "norm": True}, ANY),
    "espnet": ({"name": "espnet", "classes": 12, "q": 8}, [(360, 480), *ANY]),
}  # fmt: skip


def narrow(config: dict[str, Any]) -> dict[str, Any]:
    """The same with few channels, for --quick; SqueezeNet and ESPNet are small as they are."""
    if "encoder" in config:
        return config | {"encoder": narrow(config["encoder"])}
    wide = config["name"] not in ("squeezenet1_1", "espnet")
    return config | ({"width": 8} if wide else {})


def compare(config: dict[str, Any], sizes: list[tuple[int, int]], seed: int) -> dict[str, Any]:
    """The largest error at each size, and how many parameters there are."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    with nn.blank():
        ours: Any = build(config).eval()
    C = ours.config.get("in_channels", 3)
    first = rng.standard_normal((2, C, *max(sizes)), dtype=np.float32)
    twin = twin_of(ours.config, torch.tensor(first))
    for parameter in twin.parameters():
        if parameter.ndim == 1:  # norms, biases, slopes: not all alike
            torch.nn.init.uniform_(parameter, 0.1, 1.0)
    _settle(twin, torch.tensor(first))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file(twin.state_dict(), path)
        load_weights(ours, path)
    errors = {}
    for H, W in sizes:
        x = rng.standard_normal((2, C, H, W), dtype=np.float32)
        with torch.no_grad():
            theirs = twin(torch.tensor(x)).numpy()
        with mf.no_grad():
            y = ours(mf.tensor(x)).numpy()
        if y.shape != theirs.shape:
            raise SystemExit(f"{config}: minifcn gives {y.shape}, PyTorch {theirs.shape}")
        errors[f"{H}x{W}"] = float(np.abs(y - theirs).max() / np.abs(theirs).max())
    return {"parameters": sum(p.numel() for p in twin.parameters()), "errors": errors}


def _settle(twin: torch.nn.Module, x: torch.Tensor) -> None:
    """Norms take over the statistics of one batch, so that what they give has a likely size."""
    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
        else:
            module.training = False
    with torch.no_grad():
        twin(x)
    twin.eval()


def main() -> None:
    """Compare all models, or those asked for; print, and write JSON if asked."""
    arguments_of = parser(__doc__)
    arguments_of.add_argument("--only", nargs="+", help="models whose title holds one of these")
    arguments_of.add_argument("--seed", type=int, default=0)
    arguments = arguments_of.parse_args()
    rows, found = [], {}
    for title, (config, sizes) in CASES.items():
        if arguments.only and not any(word in title for word in arguments.only):
            continue
        if arguments.quick:
            sizes = [(188, 190)] if "valid" in title else QUICK
            config = narrow(config)
        found[title] = compare(config, sizes, arguments.seed)
        errors = found[title]["errors"]
        where = max(errors, key=errors.get)
        rows.append((title, found[title]["parameters"], len(errors), errors[where], where))
        print(f"{title}: {errors[where]:.1e}", file=sys.stderr, flush=True)
    print(table(("model", "parameters", "sizes", "largest error", "at"), rows))
    worst = max(row[3] for row in rows)
    verdict = "all within" if worst <= LIMIT else "NOT all within"
    print(f"\n{verdict} {LIMIT:g}; the largest is {worst:.1e}")
    finish({"limit": LIMIT, "models": found}, arguments.json)
    if worst > LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
