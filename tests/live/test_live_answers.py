"""The live server's answers are the predictor's, whoever asks and however many."""

from __future__ import annotations

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from minifcn.images import decode_image
from minifcn.infer import regions
from minifcn.live import Limits, Server, worker
from minifcn.live.answer import unpack
from tests.live.serving import CLASSES, SMALL, Held, connect, encode, network, photo, reason, send


@pytest.fixture(scope="module")
def server():
    with Server(network(), port=0, limits=Limits(clients=16)) as server:
        yield server


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 53), (240, 320), (361, 479)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_answer_is_the_predictors(server, size, kind):
    data = encode(photo(*size), kind)
    status, headers, body = send(server, data, Content_Type=f"image/{kind.lower()}")
    assert (status, headers["Content-Encoding"]) == (200, "deflate")
    found, class_map = unpack(body)
    expected = network()(decode_image(data, name="it", most=10**6))
    np.testing.assert_array_equal(class_map, expected.class_map)
    assert (found["height"], found["width"]) == size
    for k, name in enumerate(CLASSES.names):
        assert found["shares"][k] == pytest.approx((class_map == k).mean(), abs=1e-6)
        assert found["shares"][k] == pytest.approx(expected.shares[name], abs=1e-6)
    assert found["seconds"] > 0 and found["waited"] >= 0 and "boxes" not in found


def test_a_photo_lies_as_its_camera_says(server):
    picture = Image.fromarray(photo(30, 50))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    data = encode(picture, exif=exif)
    found, class_map = unpack(send(server, data)[2])
    turned = np.rot90(photo(30, 50), -1)
    np.testing.assert_array_equal(class_map, network()(turned.copy()).class_map)
    assert (found["height"], found["width"]) == (50, 30)


def test_boxes_are_those_of_regions_the_surest_first(server):
    picture = photo(120, 160)
    found, class_map = unpack(send(server, encode(picture), path="/frame?boxes=1")[2])
    seen = network()(picture, probability=True)
    things = regions(seen.class_map, seen.probability, classes=CLASSES.names, minimum_area=19)
    assert len(things) > 1, "a picture with several things was wanted"
    expected = [[thing.category, list(thing.box), round(thing.score, 4)] for thing in things[:40]]
    assert [[row["class"], row["box"], row["score"]] for row in found["boxes"]] == expected


def test_a_network_that_was_trained_on_small_photos_sees_large_ones_smaller():
    predictor = network(side=60)
    picture = photo(180, 240)
    with Server(predictor, port=0) as server:
        class_map = unpack(send(server, encode(picture))[2])[1]
    np.testing.assert_array_equal(class_map, network(shrink=3)(picture).class_map)
    assert (class_map != network()(picture).class_map).any()


def test_the_network_may_be_on_a_gpu(cuda, monkeypatch):
    monkeypatch.setattr(worker, "WARM", (24, 32))  # the emulator takes its time
    predictor = network()
    predictor.model.to("cuda")
    picture = photo(37, 53)
    with Server(predictor, port=0) as server:
        assert server.description()["device"] == "cuda"
        class_map = unpack(send(server, encode(picture))[2])[1]
    assert (class_map == network()(picture).class_map).mean() > 0.999  # rounding, on ties


def test_who_wants_a_png_gets_the_indices_with_the_background_clear(server):
    data = encode(photo(37, 53))
    status, headers, body = send(server, data, Accept="image/png")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    picture = Image.open(io.BytesIO(body))
    class_map = np.array(picture)
    np.testing.assert_array_equal(class_map, network()(photo(37, 53)).class_map)
    found = json.loads(headers["X-Minifcn"])
    assert found["shares"][1] == pytest.approx((class_map == 1).mean(), abs=1e-6)
    painted = np.array(picture.convert("RGBA"))
    assert set(np.unique(class_map)) == {0, 1, 2}
    for k, (r, g, b) in enumerate(CLASSES.colours):
        there = painted[class_map == k]
        assert (there == (r, g, b, 255 if k else 0)).all()


def test_one_connection_serves_many_frames_and_survives_a_refusal(server):
    connection = connect(server)
    for seed in range(4):
        data = encode(photo(24, 32, seed)) if seed != 2 else b"no picture"
        connection.request("POST", "/frame", data, {"Content-Type": "image/png"})
        if seed == 0:
            first = connection.sock
        reply = connection.getresponse()
        body = reply.read()
        if seed == 2:
            assert reply.status == 400 and "no image format" in reason(body)
        else:
            expected = network()(photo(24, 32, seed)).class_map
            np.testing.assert_array_equal(unpack(body)[1], expected)
        assert connection.sock is first, "the connection was not kept"
    connection.close()


def test_many_clients_at_once_each_get_their_own(server):
    def watch(k: int) -> bool:
        picture = photo(20 + k, 40, seed=k)
        body = send(server, encode(picture), X_Client=f"client-{k}")[2]
        return bool((unpack(body)[1] == network()(picture).class_map).all())

    with ThreadPoolExecutor(8) as crowd:
        assert all(crowd.map(watch, [k % 12 for k in range(48)]))


def test_the_newest_frame_of_a_client_takes_the_place_of_the_one_that_waits():
    held = network(Held)
    assert isinstance(held, Held)
    with Server(held, port=0, limits=Limits()) as server, ThreadPoolExecutor(4) as crowd:
        pictures = [photo(20, 30, seed) for seed in range(4)]

        def later(k: int, client: str):
            return crowd.submit(send, server, encode(pictures[k]), X_Client=client)

        def waits(k: int) -> bool:
            shown = [frame.photo for frame in server.worker.waiting.values()]
            return any(np.array_equal(p, pictures[k]) for p in shown)

        running = later(0, "a")
        assert held.begun.acquire(timeout=10)
        answers = []
        for k, client in ((1, "a"), (2, "b"), (3, "a")):
            answers.append(later(k, client))
            pause = threading.Event()
            while not waits(k):
                pause.wait(0.005)
        status, _, body = answers[0].result(10)
        assert status == 409 and "newer frame" in reason(body)
        assert len(server.worker.waiting) == 2
        assert list(server.worker.waiting) == ["a", "b"], "the newer frame keeps the place in line"
        held.go.set()
        for k, answer in ((0, running), (2, answers[1]), (3, answers[2])):
            status, _, body = answer.result(10)
            assert status == 200
            np.testing.assert_array_equal(unpack(body)[1], network()(pictures[k]).class_map)


def test_more_clients_than_there_is_room_for_are_told_and_served_later():
    with Server(network(), port=0, limits=SMALL) as server:
        data = encode(photo(24, 32))
        for k in range(SMALL.clients):
            assert send(server, data, X_Client=f"client-{k}")[0] == 200
        status, _, body = send(server, data, X_Client="late")
        assert status == 503 and "3 clients" in reason(body)
        assert send(server, data, X_Client="client-1")[0] == 200, "who is there stays there"
        threading.Event().wait(SMALL.stay + 0.1)
        assert send(server, data, X_Client="late")[0] == 200


def test_a_client_without_a_name_leaves_no_place_taken():
    with Server(network(), port=0, limits=SMALL) as server:
        for _ in range(3 * SMALL.clients):
            assert send(server, encode(photo(24, 32)))[0] == 200


def test_a_network_that_fails_is_a_500_and_the_next_frame_is_served(capsys):
    predictor = network()
    with Server(predictor, port=0) as server:
        parameter = next(iter(predictor.model.parameters()))
        before = parameter.data.copy()
        parameter.data[...] = np.nan
        for _ in range(2):
            status, _, body = send(server, encode(photo(24, 32)))
            assert status == 500 and "NaN" in reason(body)
        parameter.data[...] = before
        assert send(server, encode(photo(24, 32)))[0] == 200
    assert capsys.readouterr().err.count("Traceback") == 1, "each kind of mistake is printed once"


def test_a_network_that_cannot_run_is_known_before_anyone_is_served():
    predictor = network()
    next(iter(predictor.model.parameters())).data[...] = np.nan
    with pytest.raises(ValueError, match="NaN"), Server(predictor, port=0):
        pass


def test_stopping_finishes_what_runs_refuses_who_waits_and_frees_the_port():
    others = set(threading.enumerate())
    held = network(Held)
    assert isinstance(held, Held)
    with ThreadPoolExecutor(2) as crowd:
        with Server(held, port=0) as server:
            port = server.server_address[1]
            running = crowd.submit(send, server, encode(photo(20, 30)), X_Client="a")
            assert held.begun.acquire(timeout=10)
            waiting = crowd.submit(send, server, encode(photo(20, 30)), X_Client="b")
            while not server.worker.waiting:
                threading.Event().wait(0.005)
            threading.Timer(0.2, held.go.set).start()
        assert running.result(10)[0] == 200
        status, _, body = waiting.result(10)
        assert status == 503 and "the server is stopping" in reason(body)
    with Server(network(), port=port):
        pass
    limit = time.monotonic() + 5
    while (left := set(threading.enumerate()) - others) and time.monotonic() < limit:
        threading.Event().wait(0.01)
    assert not left
