"""`minifcn detect` as a user meets it: pictures, boxes, masks, and what is refused."""

import json
import re

import numpy as np
import pytest

from minifcn.cli import main
from minifcn.cli.things import area
from minifcn.data import Classes, HotDogs, Loader, Normalize
from minifcn.images import read_image, write_png
from minifcn.infer import Predictor, components
from minifcn.infer.coco import from_run_lengths
from minifcn.models import FCN, SmallEncoder
from minifcn.models.squeezenet import SqueezeNet
from minifcn.optim import SGD
from minifcn.optim.schedule import Poly
from minifcn.train import Trainer

SIZE = (72, 96)
AS_IT_IS = Normalize((0.0,) * 3, (1.0,) * 3)


def redness(bias):
    """An FCN that calls a pixel "thing" where red outweighs blue: known weights, no training."""
    model = FCN(SmallEncoder(width=4, depth=1), classes=2, skips=0)
    for parameter in model.parameters():
        parameter.data[...] = 0
    first, last = model.encoder, model.scores[0]
    convolutions = [m for m in first.modules() if type(m).__name__ == "Conv2d"]
    for k, conv in enumerate(convolutions):
        middle = conv.weight.shape[2] // 2
        if k == 0:
            conv.weight.data[0, [0, 2], middle, middle] = 1, -1
        else:
            conv.weight.data[0, 0, middle, middle] = 1
    for norm in (m for m in first.modules() if type(m).__name__ == "BatchNorm2d"):
        norm.weight.data[...] = 1
    last.weight.data[1, 0] = 20
    last.bias.data[1] = bias
    return model.eval()


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "red.safetensors"
    classes = Classes(("background", "thing"), ((0, 0, 0), (255, 160, 0)))
    Predictor(redness(-6.0), classes, AS_IT_IS).save(path)
    return path


def squares(places):
    """Red squares of 16 x 20 pixels on blue, and which pixels they are."""
    photo = np.zeros((*SIZE, 3), np.uint8)
    photo[..., 2] = 200
    truth = np.zeros(SIZE, bool)
    for top, left in places:
        truth[top : top + 16, left : left + 20] = True
    photo[truth] = 200, 0, 0
    return photo, truth


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, places in (("7", [(8, 8), (40, 64)]), ("12", [(30, 40)]), ("30", [])):
        write_png(folder / f"{name}.png", squares(places)[0])
    return folder


def boxes_of(out):
    return json.loads((out / "boxes.json").read_text())


def test_detect_puts_a_box_around_every_thing_on_every_photo(segmenter, photos, tmp_path, capsys):
    out = tmp_path / "found"
    assert main(["detect", str(segmenter), str(photos), "--out", str(out)]) == 0
    found = boxes_of(out)
    assert [result["image_id"] for result in found] == [12, 7, 7], "numbers in names are kept"
    assert all(result["category_id"] == 1 and 0.5 <= result["score"] <= 1 for result in found)
    truth = {12: [[40, 30, 20, 16]], 7: [[8, 8, 20, 16], [64, 40, 20, 16]], 30: []}
    for number, expected in truth.items():
        boxes = sorted(result["bbox"] for result in found if result["image_id"] == number)
        assert len(boxes) == len(expected)
        if boxes:
            np.testing.assert_allclose(boxes, expected, atol=2)
    images = json.loads((out / "images.json").read_text())
    assert [image["file_name"] for image in images["images"]] == ["12.png", "30.png", "7.png"]
    assert images["images"][0] == {"id": 12, "file_name": "12.png", "width": 96, "height": 72}
    assert {"id": 1, "name": "thing"} in images["categories"]
    lines = capsys.readouterr()
    assert re.search(r"7.png \(96 x 72, shrink 1, .* s\): 2 thing", lines.out)
    assert "30.png" in lines.out and "nothing" in lines.out
    assert "3 things on 3 photos" in lines.err
    drawn = read_image(out / "7.png")
    assert drawn.shape == (*SIZE, 3) and (drawn != read_image(photos / "7.png")).any()
    np.testing.assert_array_equal(read_image(out / "30.png"), read_image(photos / "30.png"))


def test_detect_writes_masks_that_lie_in_their_boxes(segmenter, photos, tmp_path):
    photo = str(photos / "12.png")
    assert main(["detect", str(segmenter), photo, "--out", str(tmp_path), "--masks"]) == 0
    (result,) = boxes_of(tmp_path)
    segmentation = result["segmentation"]
    mask = from_run_lengths(segmentation["counts"], segmentation["size"])
    truth = squares([(30, 40)])[1]
    assert mask.shape == SIZE and (mask & truth).sum() / (mask | truth).sum() > 0.8
    assert components(mask).box.tolist() == [[int(v) for v in result["bbox"]]]


@pytest.mark.parametrize(
    "options, count",
    [
        (["--minimum-area", "4000"], 0),
        (["--minimum-area", "3%"], 2),
        (["--minimum-area", "10%"], 0),
        (["--threshold", "1"], 0),
        (["--threshold", "1", "--threshold", "thing=0.5"], 2),
        (["--threshold", "thing=1"], 0),
        (["--classes", "Thing"], 2),
        (["--classes", "background"], 1),
    ],
)
def test_detect_counts_what_is_large_and_sure_enough(segmenter, photos, tmp_path, options, count):
    photo = str(photos / "7.png")
    assert main(["detect", str(segmenter), photo, "--out", str(tmp_path), *options]) == 0
    assert len(boxes_of(tmp_path)) == count


@pytest.mark.slow  # half a minute
def test_detect_finds_generated_hot_dogs_with_a_trained_net(tmp_path):
    """What it calls a hot dog is one, for the most part, and most of them are found."""
    rng = np.random.default_rng(0)
    net = FCN(SmallEncoder(width=8, depth=4, generator=rng), classes=2, generator=rng)
    scenes = HotDogs(160, SIZE)
    loader = Loader(scenes, batch_size=8)
    sgd = SGD(net.parameters(), lr=0.1, momentum=0.9)
    Trainer(net, sgd, loader, epochs=10, schedule=Poly(10 * len(loader))).fit()
    Predictor(net.eval(), scenes.classes, Normalize()).save(tmp_path / "model.safetensors")
    right = boxes = found = 0
    held_out = scenes.held_out(12)
    for index in range(12):
        photo, label = held_out[index]
        truth = label == 1
        write_png(tmp_path / "photo.png", photo)
        command = ["detect", str(tmp_path), str(tmp_path / "photo.png"), "--out", str(tmp_path)]
        assert main([*command, "--minimum-area", "1%", "--masks"]) == 0
        for result in boxes_of(tmp_path):
            segmentation = result["segmentation"]
            mask = from_run_lengths(segmentation["counts"], segmentation["size"])
            boxes += 1
            right += truth[mask].mean() > 0.5
            found += (truth & mask).sum() / truth.sum()
    assert boxes >= 12 and right / boxes > 0.8 and found / 12 > 0.6


def test_a_photo_that_cannot_be_read_is_named_and_the_others_are_done(
    segmenter, photos, tmp_path, capsys
):
    (tmp_path / "bad.jpg").write_text("no photo")
    both = [str(tmp_path / "bad.jpg"), str(photos / "7.png")]
    assert main(["detect", str(segmenter), *both, "--out", str(tmp_path)]) == 1
    assert "bad.jpg" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "images.json").read_text())["images"]) == 1


def test_detect_refuses_a_classifier(photos, tmp_path, capsys):
    net = SqueezeNet(2, generator=np.random.default_rng(0))
    Predictor(net, Classes(("plate", "hot dog")), Normalize()).save(tmp_path / "a.safetensors")
    assert main(["detect", str(tmp_path / "a.safetensors"), str(photos), "--out", "nowhere"]) == 1
    assert "is a SqueezeNet, which does not say what is where" in capsys.readouterr().err


def test_two_photos_of_one_name_are_refused(segmenter, photos, tmp_path, capsys):
    other = tmp_path / "7.jpg"
    write_png(other, squares([])[0])
    pair = [str(photos / "7.png"), str(other)]
    assert main(["detect", str(segmenter), *pair, "--out", str(tmp_path)]) == 1
    assert "7.png; run them apart" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, words",
    [
        (["--threshold", "2"], "got '2', expected 0..1"),
        (["--threshold", "car=x"], "as 0.6 or car=0.6"),
        (["--minimum-area", "101%"], "expected pixels such as 200"),
        (["--minimum-area", "nan"], "expected pixels such as 200"),
    ],
)
def test_impossible_options_are_refused(options, words, capsys):
    with pytest.raises(SystemExit):
        main(["detect", "model", "photo", "--out", "out", *options])
    assert words in capsys.readouterr().err


def test_areas_in_pixels_and_shares():
    photo = np.zeros((100, 50, 3), np.uint8)
    assert [area(text).pixels(photo) for text in ("0", "20", "1%", "100%")] == [1, 20, 50, 5000]
