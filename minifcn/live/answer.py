"""answer: what was seen on a frame, as the page and other programs get it.

packed   N (uint32, little endian) | N bytes of JSON, UTF-8 | H W bytes, the class of every pixel,
         all of it compressed by zlib's fastest level (Content-Encoding: deflate)
png      the class map as a palette PNG, whose transparent colour is that of "background"; the JSON
         in the header X-Minifcn

The page paints indices itself: so it can show and hide classes without asking again. For 480 x 360
packing costs 0.2 ms, a PNG 0.3 ms, an overlay as JPEG 3 ms, and the photo is with the page anyway.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import numpy as np

from ..data import Classes
from ..images import UInt8
from ..infer import Prediction, background, regions

MOST_BOXES = 40
LEAST_SHARE = 1 / 1000  # of the picture, for a box


def facts(seen: Prediction, classes: Classes, boxes: bool, **more: Any) -> dict[str, Any]:
    """The JSON: the share of each class, in order; boxes with label and score; times in seconds."""
    H, W = seen.class_map.shape
    found: dict[str, Any] = {
        "height": H,
        "width": W,
        "shares": [round(seen.shares[name], 6) for name in classes.names],
        "seconds": round(seen.seconds, 6),
        **more,
    }
    if boxes:
        things = regions(
            seen.class_map,
            seen.probability,
            classes=classes.names,
            minimum_area=max(1, round(LEAST_SHARE * H * W)),
        )
        found["boxes"] = [
            {"class": thing.category, "box": thing.box, "score": round(thing.score, 4)}
            for thing in things[:MOST_BOXES]
        ]
    return found


def pack(found: dict[str, Any], class_map: UInt8) -> bytes:
    """As above."""
    text = json.dumps(found).encode()
    return zlib.compress(struct.pack("<I", len(text)) + text + class_map.tobytes(), 1)


def unpack(data: bytes) -> tuple[dict[str, Any], UInt8]:
    """What `pack` packed, for other programs and the tests."""
    whole = zlib.decompress(data)
    (length,) = struct.unpack_from("<I", whole)
    found: dict[str, Any] = json.loads(whole[4 : 4 + length])
    pixels = np.frombuffer(whole, np.uint8, offset=4 + length)
    return found, pixels.reshape(found["height"], found["width"])


def png(class_map: UInt8, classes: Classes) -> bytes:
    """As above; whoever lays it over the photo has the overlay."""
    from PIL import Image

    picture = Image.fromarray(class_map)
    picture.putpalette(classes.palette().ravel().tolist())
    clear = bytes(0 if k in background(classes) else 255 for k in range(256))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1, transparency=clear)
    return file.getvalue()
