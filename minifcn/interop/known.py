"""known: networks that many people have weights of, and what these weights expect and mean.

A file of weights says nothing but names and shapes; those tell which network it is. The rest is
known from its authors: classes, order of colours, mean and spread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..data import Classes, Normalize
from .names import classes_of, find_class

Shapes = Mapping[str, tuple[int, ...]]

# (value - mean) / std / 255 with the authors' figures for blue, green, red
ESPNET = Normalize(
    tuple(m / 255 for m in (110.3313, 108.4091, 105.0335)),  # type: ignore[arg-type]  # three
    (72.1252, 72.6885, 69.9026),
    order="BGR",
)


@dataclass(frozen=True)
class Known:
    """A network of the registry with weights of the field.

    `last` is the weight whose axis 0 counts the classes; `marks` are names and shapes that the
    network has (0: any size), `without` names that larger ones of its kind have and it has not.
    """

    name: str
    data: str  # imagenet, voc or camvid
    last: str
    marks: Shapes
    without: tuple[str, ...] = ()
    normalize: Normalize = Normalize()
    side: int | None = None  # of the training images, where there is a usual one
    source: str = ""
    options: Callable[[Shapes], dict[str, Any]] = lambda shapes: {}

    @property
    def classes(self) -> Classes:
        """The classes of the data set that the usual weights were trained on."""
        return classes_of(self.data)

    def fits(self, shapes: Shapes) -> bool:
        """Whether a file with these names and shapes holds this network."""
        found = all(name in shapes and _agree(shapes[name], m) for name, m in self.marks.items())
        return found and self.last in shapes and not any(name in shapes for name in self.without)

    def config(self, shapes: Shapes) -> dict[str, Any]:
        """What `models.build` takes to make the network that the file holds."""
        return {"name": self.name, "classes": shapes[self.last][0], **self.options(shapes)}

    def index(self, word: str) -> int:
        """The class that is called so, by any of its names: "hot dog" is ImageNet's 934."""
        return find_class(self.data, word)


def _agree(shape: tuple[int, ...], mark: tuple[int, ...]) -> bool:
    return len(shape) == len(mark) and all(m in (0, s) for s, m in zip(shape, mark, strict=True))


def _blocks(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts there are under a name."""
    return len({name.split(".")[2] for name in shapes if name.startswith(prefix)})


def _resnet(name: str, marks: Shapes, *without: str) -> Known:
    return Known(
        name,
        "imagenet",
        "fc.weight",
        {"conv1.weight": (64, 3, 7, 7), **marks},
        without,
        side=224,
        source="He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, CVPR 2016",
    )


KNOWN = {
    known.name: known
    for known in (
        Known(
            "squeezenet1_1",
            "imagenet",
            "classifier.1.weight",
            {"features.0.weight": (64, 3, 3, 3), "features.12.expand3x3.weight": (256, 64, 3, 3)},
            side=224,
            source="Iandola and others, SqueezeNet, 2016, in version 1.1",
        ),
        Known(
            "vgg16",
            "imagenet",
            "classifier.6.weight",
            {
                "features.28.weight": (512, 512, 3, 3),
                "classifier.0.weight": (4096, 25088),
            },
            without=("features.30.weight",),
            side=224,
            source="Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, model D",
        ),
        _resnet(
            "resnet18",
            {"layer4.1.conv2.weight": (512, 512, 3, 3)},
            "layer1.0.conv3.weight",
            "layer1.2.conv1.weight",
        ),
        _resnet(
            "resnet34",
            {"layer3.5.conv2.weight": (256, 256, 3, 3)},
            "layer1.0.conv3.weight",
            "layer3.6.conv1.weight",
        ),
        _resnet(  # wide ones and ResNeXts have other 3x3 convolutions
            "resnet50",
            {"layer1.0.conv2.weight": (64, 64, 3, 3), "layer3.5.conv3.weight": (1024, 256, 1, 1)},
            "layer3.6.conv1.weight",
        ),
        Known(
            "fcn_resnet50",
            "voc",
            "classifier.4.weight",
            {"backbone.layer3.5.conv3.weight": (0,) * 4, "classifier.0.weight": (512, 2048, 3, 3)},
            without=("backbone.layer3.6.conv1.weight",),
            side=520,
            source="the FCN of torchvision on ResNet-50 with dilation 2 and 4",
            options=lambda shapes: {"aux": "aux_classifier.0.weight" in shapes},
        ),
        Known(
            "espnet",
            "camvid",
            "classifier.weight",
            {
                "encoder.level1.conv.weight": (16, 0, 3, 3),
                "combine_l2_l3.1.d16.conv.weight": (0,) * 4,
            },
            normalize=ESPNET,
            side=360,
            source="Mehta and others, ESPNet, ECCV 2018",
            options=lambda shapes: {
                "p": _blocks(shapes, "encoder.level2."),
                "q": _blocks(shapes, "encoder.level3."),
            },
        ),
    )
}


def recognise(shapes: Shapes) -> Known | None:
    """The known network that has these names and shapes, or none."""
    return next((known for known in KNOWN.values() if known.fits(shapes)), None)
