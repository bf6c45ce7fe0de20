"""Things on a class map: the same as by flood fill, pixel by pixel, and as COCO writes them."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minifcn.infer import coco_results, components, regions
from minifcn.infer.coco import from_run_lengths, run_lengths

NAMES = ("background", "hot dog", "bun")
sizes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
class_maps = arrays(np.uint8, sizes, elements=st.integers(0, 2))
masks = arrays(np.bool_, sizes)
reach = st.sampled_from([4, 8])


def flood_fill(values, kept, connectivity):
    """The oracle: from every pixel that has no number yet, walk to all that it reaches."""
    H, W = values.shape
    sides = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    steps = sides if connectivity == 4 else [*sides, (-1, -1), (-1, 1), (1, -1), (1, 1)]
    labels, count = np.zeros((H, W), int), 0
    for i, j in np.ndindex(H, W):
        if labels[i, j] or not kept[i, j]:
            continue
        count += 1
        open_ends = [(i, j)]
        labels[i, j] = count
        while open_ends:
            y, x = open_ends.pop()
            for dy, dx in steps:
                v, u = y + dy, x + dx
                if 0 <= v < H and 0 <= u < W and not labels[v, u] and values[v, u] == values[i, j]:
                    labels[v, u] = count
                    open_ends.append((v, u))
    return labels


@given(class_maps, reach)
def test_components_are_what_flood_fill_reaches(class_map, connectivity):
    found = components(class_map, connectivity=connectivity, clear=[0])
    truth = flood_fill(class_map, class_map != 0, connectivity)
    np.testing.assert_array_equal(found.labels, truth)
    assert found.count == truth.max()
    for k in range(found.count):
        rows, columns = np.nonzero(truth == k + 1)
        top, left = rows.min(), columns.min()
        box = [left, top, columns.max() - left + 1, rows.max() - top + 1]
        assert found.box[k].tolist() == box and found.area[k] == len(rows)
        assert found.value[k] == class_map[rows[0], columns[0]]


@given(masks, reach)
def test_of_a_boolean_map_only_true_is_numbered(mask, connectivity):
    found = components(mask, connectivity=connectivity)
    np.testing.assert_array_equal(found.labels, flood_fill(mask, mask, connectivity))


def snake(n):
    """One line through the whole picture, a row forth and a row back."""
    mask = np.zeros((n, n), bool)
    mask[::2] = True
    mask[1::4, -1], mask[3::4, 0] = True, True
    return mask


def comb(n):
    """Teeth that meet in the last row only: every tooth but one is hooked at the very end."""
    mask = np.zeros((n, n), bool)
    mask[:, ::2] = True
    mask[-1] = True
    return mask


@pytest.mark.parametrize("draw", [snake, comb, lambda n: comb(n)[::-1], lambda n: snake(n).T])
def test_long_ways_are_one_component(draw):
    mask = draw(41)
    np.testing.assert_array_equal(components(mask, connectivity=4).labels, mask)


def test_a_thousand_by_a_thousand_takes_no_second():
    noise = np.random.default_rng(0).random((1000, 1000)) < 0.41  # where clusters begin to span
    start = time.perf_counter()
    assert components(noise).count > 1000
    assert time.perf_counter() - start < 5, "0.1 s on an idle machine"


@given(class_maps, st.data())
def test_scores_are_the_mean_or_the_maximum_inside(class_map, data):
    unit = st.floats(0, 1, width=32)
    probability = data.draw(arrays(np.float32, class_map.shape, elements=unit))
    for how in ("mean", "max"):
        found = regions(class_map, probability, classes=NAMES, score=how)
        assert [thing.score for thing in found] == sorted((t.score for t in found), reverse=True)
        for thing in found:
            x, y, width, height = thing.box
            inside = probability[y : y + height, x : x + width][thing.mask]
            assert thing.area == len(inside) and thing.label == NAMES[thing.category]
            assert thing.score == pytest.approx(getattr(inside.astype(float), how)(), abs=1e-9)
        count = components(class_map, clear=[0]).count
        assert len(found) == count, "the background is no thing, all else is"


def test_small_and_unsure_things_are_left_out():
    class_map = np.array([[1, 1, 0, 2], [0, 0, 0, 0], [2, 2, 0, 1]])
    probability = np.array([[0.9, 0.7, 1, 0.4], [1, 1, 1, 1], [0.5, 0.3, 1, 0.6]])

    def found(**choice):
        things = regions(class_map, probability, classes=NAMES, **choice)
        return [(thing.label, round(thing.score, 6)) for thing in things]

    assert found() == [("hot dog", 0.8), ("hot dog", 0.6), ("bun", 0.4), ("bun", 0.4)]
    assert found(minimum_area=2) == [("hot dog", 0.8), ("bun", 0.4)]
    assert found(thresholds=0.5) == [("hot dog", 0.8), ("hot dog", 0.6)]
    assert found(thresholds={"hot dog": 0.7}) == [("hot dog", 0.8), ("bun", 0.4), ("bun", 0.4)]
    assert found(clear=[0, 1]) == [("bun", 0.4), ("bun", 0.4)]
    assert [thing.area for thing in regions(class_map, classes=NAMES)] == [2, 2, 1, 1]
    one = regions(class_map == 2, probability, classes=["bun"])
    assert [(thing.label, thing.category) for thing in one] == [("bun", 0)] * 2


@given(masks)
def test_run_lengths_go_down_the_columns_and_come_back(mask):
    counts = run_lengths(mask)
    pixels = [c for k, count in enumerate(counts) for c in [k % 2 == 1] * count]
    H, W = mask.shape
    assert pixels == [mask[i, j] for j in range(W) for i in range(H)]
    assert all(count > 0 for count in counts[1:])
    np.testing.assert_array_equal(from_run_lengths(counts, (H, W)), mask)


def test_coco_results_are_json_with_boxes_in_floats():
    class_map = np.zeros((5, 6), np.uint8)
    class_map[1:3, 2:6] = 1
    found = regions(class_map, np.full((5, 6), 0.25), classes=NAMES)
    (plain,) = coco_results(found, 17)
    assert plain == {
        "image_id": 17,
        "category_id": 1,
        "bbox": [2.0, 1.0, 4.0, 2.0],
        "score": 0.25,
    }
    (drawn,) = json.loads(json.dumps(coco_results(found, 17, size=(5, 6))))
    segmentation = drawn["segmentation"]
    assert segmentation["size"] == [5, 6] and segmentation["counts"][:3] == [11, 2, 3]
    np.testing.assert_array_equal(from_run_lengths(segmentation["counts"], (5, 6)), class_map == 1)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"connectivity": 6}, "connectivity is 6, expected 4 or 8"),
        ({"score": "median"}, "score is 'median'"),
        ({"minimum_area": 0}, "minimum_area is 0"),
        ({"thresholds": {"dog": 0.5}}, "thresholds has 'dog'.*hot dog"),
        ({"thresholds": 1.5}, "threshold of background is 1.5, expected 0..1"),
        ({"classes": NAMES[:2]}, "class_map has class 2, expected 0..1"),
        ({"probability": np.zeros((2, 2))}, r"shape \(2, 2\), but class_map has \(2, 3\)"),
        ({"probability": np.full((2, 3), np.nan)}, "nan"),
        ({"class_map": np.zeros((2, 3))}, "float64 of shape"),
        ({"class_map": np.zeros((0, 3), int)}, r"shape \(0, 3\)"),
        ({"class_map": np.zeros((2, 3), bool)}, "there are 3 classes, expected 1"),
    ],
)
def test_mistakes_are_named(change, words):
    class_map = np.array([[0, 1, 2], [0, 1, 2]])
    with pytest.raises(ValueError, match=words):
        regions(**{"class_map": class_map, "classes": NAMES, **change})


def test_counts_that_do_not_fill_the_picture_are_refused():
    with pytest.raises(ValueError, match="add up to 3.*H W = 4"):
        from_run_lengths([1, 2], (2, 2))
