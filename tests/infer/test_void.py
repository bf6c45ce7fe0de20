"""Void is never predicted; the order of the colours goes with the file; classifiers are refused."""

import numpy as np
import pytest

import minifcn as mf
from minifcn import files, nn
from minifcn.data import Classes, Normalize
from minifcn.infer import Predictor
from minifcn.models import FCN, SmallEncoder
from minifcn.train.recipe import evaluate

CLASSES = Classes(("sky", "road", "nothing"), void=2)


def void_lover():
    """Its logit for void is above all others everywhere."""
    model = FCN(SmallEncoder(width=4, depth=2), classes=3)
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape) * 0.3
    last = model.ups[1] if list(model.ups[1].parameters()) else model.scores[1]
    last.bias.data[2] += 1e4
    return Predictor(model.eval(), CLASSES, Normalize((0.5,) * 3, (0.25,) * 3))


def photo(H, W, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)


def test_void_is_never_predicted(device):
    one, x = void_lover(), photo(19, 30)
    logits = one.logits(one.normalize(x)[None])
    assert logits.shape[1] == 3 and (logits[0].argmax(0) == 2).all()
    one.model.to(device)
    seen = one(x, probability=True)
    least, best = np.sort(logits[0, :2], axis=0)
    sure = best - least > 1e-4 * best.max()
    np.testing.assert_array_equal(seen.class_map[sure], logits[0, :2].argmax(0)[sure])
    assert sure.mean() > 0.9 and len(np.unique(seen.class_map)) == 2
    assert seen.probability is not None and (seen.probability >= 0.5 - 1e-6).all()
    assert one.whole(x).shape == (1, 2, 19, 30)


def test_scores_are_of_the_scored_classes_wherever_they_are_counted(device):
    one, x = void_lover(), photo(19, 30)
    label = np.random.default_rng(1).integers(0, 3, x.shape[:2], dtype=np.uint8)
    one.model.to(device)
    confusion = evaluate(one, [(x, label)])
    assert confusion.matrix.shape == (2, 2) and confusion.matrix.sum() == (label < 2).sum()
    wanted = [((one(x).class_map == p) & (label == t)).sum() for t in (0, 1) for p in (0, 1)]
    np.testing.assert_array_equal(confusion.matrix.ravel(), wanted)


def test_the_order_of_the_colours_goes_with_the_file(tmp_path):
    before = void_lover()
    bgr = Predictor(before.model, CLASSES, Normalize((0.1, 0.2, 0.3), (1, 2, 3), "BGR"))
    bgr.save(tmp_path / "model.safetensors")
    arrays, meta = files.load(tmp_path / "model.safetensors")
    assert meta["input"].startswith("BGR")
    after = Predictor.load(tmp_path)
    assert after.normalize == bgr.normalize
    np.testing.assert_array_equal(after(photo(9, 9)).class_map, bgr(photo(9, 9)).class_map)
    del meta["order"]  # as files were before
    files.save(tmp_path / "model.safetensors", arrays, meta)
    assert Predictor.load(tmp_path).normalize.order == "RGB"


@pytest.mark.parametrize("order", ["bgr", "GBR", 3])
def test_a_file_with_another_order_is_refused(tmp_path, order):
    path = tmp_path / "model.safetensors"
    void_lover().save(path)
    arrays, meta = files.load(path)
    files.save(path, arrays, {**meta, "order": order})
    with pytest.raises(files.FileError, match="model.safetensors: Normalize: order is"):
        Predictor.load(path)


def test_blue_first_is_the_formula_with_blue_first():
    image, mean, std = photo(4, 5), (0.2, 0.4, 0.6), (0.1, 0.5, 0.9)
    x = Normalize(mean, std, "BGR")(image)
    np.testing.assert_array_equal(x, Normalize(mean, std)(image[..., ::-1]))
    blue = (int(image[1, 2, 2]) / 255 - 0.2) / 0.1
    assert x[0, 1, 2] == pytest.approx(blue, abs=2e-6)


class Classifier(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(3, 2)

    def forward(self, x: mf.Tensor) -> mf.Tensor:
        return self.fc(x.mean((2, 3)))


def test_a_classifier_is_no_predictor_of_pixels():
    with pytest.raises(TypeError, match="model is a Classifier without stride and radius"):
        Predictor(Classifier(), CLASSES, Normalize())(photo(8, 8))
