"""A file of weights may come from anywhere: whatever it says, no code runs and nothing bursts."""

import io
import tracemalloc
from pathlib import Path

import pytest

from minifcn.files import FileError
from minifcn.interop import read_state
from minifcn.interop.pickles import PickleRefused, read_pickle
from minifcn.interop.torch_objects import NAMES
from tests.interop.torch_writer import (
    FLAG,
    ORDERED,
    REBUILD,
    call,
    counts,
    in_a_row,
    name,
    number,
    storage,
    table,
    tensor,
    text,
    values,
    whole,
    zipped,
)

ONE = {"0": b"\0" * 4}  # one float32
FLOAT = storage("0", "Float", 1)


def refused(path: Path, content: bytes, words: str, most: int = 32 << 20) -> None:
    """Reading raises an error that names the file and says `words`, in little memory."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileError) as caught:
            read_state(path)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert path.name in str(caught.value) and words in str(caught.value), str(caught.value)


def attacks(marker: Path) -> dict[str, bytes]:
    """Programs that would write a file, if anything ran them."""
    write = f"open({str(marker)!r}, 'w').close()"
    touch = f"touch {marker}"
    unicode = [b"\x8c" + bytes([len(word)]) + word.encode() for word in ("os", "system")]
    return {
        "os.system": call(name("os", "system"), text(touch)),
        "posix.system": call(name("posix", "system"), text(touch)),
        "builtins.eval": call(name("builtins", "eval"), text(write)),
        "builtins.exec": call(name("builtins", "exec"), text(write)),
        "__builtin__.eval": call(name("__builtin__", "eval"), text(write)),
        "subprocess.Popen": call(name("subprocess", "Popen"), text(touch)),
        "'os.system'": b"".join(unicode) + b"\x93" + values(text(touch)) + b"R",
        "INST": b"(" + text(touch) + b"ios\nsystem\n",
        "functools.partial": call(name("functools", "partial"), name("os", "system")),
        "torch._utils.__builtins__": name("torch._utils", "__builtins__"),
        "torch._utils._rebuild_tensor_v2.__globals__": name(
            "torch._utils", "_rebuild_tensor_v2.__globals__"
        ),
        "torch.hub.load": call(name("torch.hub", "load"), text("a"), text("b")),
        "numpy.core.multiarray._reconstruct": name("numpy.core.multiarray", "_reconstruct"),
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("attack", sorted(attacks(Path("x"))))
def test_no_name_is_looked_up_and_nothing_runs(attack, legacy, tmp_path):
    marker = tmp_path / "marker"
    body = attacks(marker)[attack]
    content = in_a_row(body, {}) if legacy else zipped(body, {})
    refused(tmp_path / "bad.pth", content, attack)
    inside = table({"state_dict": table({"a": tensor(FLOAT, [1]), "b": body})})
    refused(tmp_path / "worse.pth", zipped(inside, ONE), attack)
    assert not marker.exists()


def test_the_attacks_would_work_on_a_reader_that_runs_code(tmp_path):
    """Else the test above could not fail."""
    import pickle

    marker = tmp_path / "marker"
    pickle.loads(whole(attacks(marker)["os.system"]))
    assert marker.exists()


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("NEWOBJ", name("collections", "OrderedDict") + b")\x81"),
        ("OBJ", b"(" + name("collections", "OrderedDict") + b"o"),
        ("EXT1", b"\x82\x01"),
        ("calls a str", text("os.system") + b")R"),
        ("calls a dict", b"})R"),
        ("calls a Named", name("torch", "FloatStorage") + b")R"),
        ("with a list", name("collections", "OrderedDict") + b"]R"),
        ("gives a state to a Named", name("collections", "OrderedDict") + b"}b"),
        ("gives a state to a str", text("a") + b"}b"),
        ("gives a state to a list", b"]}b"),
        ("a tuple as key", b"}" + b")" + b"N" + b"s"),
        ("a list as key", b"}" + b"]" + b"N" + b"s"),
        ("pairs", call(name("collections", "OrderedDict"), b"](](Nee")),
        ("appends to a dict", b"}Na"),
        ("sets entries of a list", b"]NNs"),
        ("a value is missing", b"\x86"),
        ("a mark is missing", b"t"),
        ("more than one value", b"NN"),
        ("no whole pickle", b"h\x05"),
        ("refers to an object outside", text("storage") + b"Q"),
        ("no storage", values(text("module"), *[text("x")] * 4) + b"Q"),
        ("no type", values(text("storage"), text("x"), text("0"), text("cpu"), number(1)) + b"Q"),
        ("without key", storage("0", "Float", -1)),
    ],
)
def test_other_instructions_are_refused_by_name(what, body, tmp_path):
    refused(tmp_path / "bad.pth", zipped(body, {}), what)


HUGE = 2**61


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("ends at element", tensor(FLOAT, [2**40])),
        ("ends at element", tensor(FLOAT, [2], [2**40])),
        ("ends at element", tensor(FLOAT, [1], offset=1)),
        ("ends at element", tensor(FLOAT, [1], offset=HUGE)),
        ("repeats", tensor(FLOAT, [2**40], [0])),
        ("repeats", tensor(FLOAT, [2**31, 2**31], [0, 0])),
        ("must be counts", tensor(FLOAT, [1], offset=-1)),
        ("must be counts", tensor(FLOAT, [-1], [1])),
        ("must be counts", tensor(FLOAT, [1], [-1])),
        ("must be counts", tensor(FLOAT, [2**70], [1])),
        ("axes", tensor(FLOAT, [1, 1], [1])),
        ("axes", tensor(FLOAT, [1] * 33)),
        ("no storage", call(REBUILD, b"N", number(0), counts([1]), counts([1]), FLAG, ORDERED)),
        ("wrongly", call(REBUILD, FLOAT)),
        ("need", tensor(storage("0", "Float", 2**40), [2**40])),
        ("need", tensor(storage("0", "Float", 2), [1])),
        ("need", tensor(storage("0", "Double", 1), [1])),
        ("lacks 'net/data/1'", tensor(storage("1", "Float", 1), [1])),
        ("lacks 'net/data/../../etc", tensor(storage("../../etc/passwd", "Float", 1), [1])),
        ("asks for", tensor(storage("0", "QInt8", 1), [1])),
    ],
)
def test_a_tensor_stays_inside_its_storage(words, made, tmp_path):
    refused(tmp_path / "bad.pth", zipped(table({"a": made}), ONE), words)


def doubled(times: int) -> bytes:
    """A tuple of twice a tuple of twice a tuple ..."""
    return b")" + (b"2\x86") * times


def test_what_holds_itself_many_times_over_costs_nothing(tmp_path):
    good = tmp_path / "good.pth"
    entries = {"a": tensor(FLOAT, [1]), "b": doubled(100)}
    good.write_bytes(zipped(table(entries), ONE))
    assert list(read_state(good)) == ["a"]
    refused(tmp_path / "key.pth", zipped(b"}" + doubled(100) + b"Ns", {}), "a tuple as key")
    pairs = b"](" + values(doubled(100), b"N") + b"e"
    ordered = call(name("collections", "OrderedDict"), pairs)
    refused(tmp_path / "pairs.pth", zipped(ordered, {}), "keys")


@pytest.mark.parametrize("start", [b"]" * 30_000 + b"a" * (29_999), b")" + b"\x85" * 30_000])
def test_deep_nesting_is_no_crash(start, tmp_path):
    refused(tmp_path / "deep.pth", zipped(start, {}), "no dict of tensors")
    refused(tmp_path / "deeper.pth", zipped(table({"model": start}), {}), "no dict of tensors")


def test_a_dict_that_holds_itself_is_no_endless_loop(tmp_path):
    itself = b"}q\x00" + text("model") + b"h\x00s"
    refused(tmp_path / "loop.pth", zipped(itself, {}), "no dict of tensors")


@pytest.mark.parametrize(
    "claim",
    [
        b"\x8d" + (2**62).to_bytes(8, "little"),  # a word of 2^62 bytes
        b"\x8e" + (2**63 - 1).to_bytes(8, "little"),
        b"X\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\x7f",  # a number of 2^31 bytes
        b"\x95" + (2**62).to_bytes(8, "little"),  # a frame
        b"r\xff\xff\xff\xff",  # a memo of 2^32 entries
    ],
)
def test_claimed_lengths_are_not_believed(claim, tmp_path):
    refused(tmp_path / "new.pth", zipped(claim, {}), "is no whole pickle")
    refused(tmp_path / "old.pth", in_a_row(claim, {}), "is no whole pickle")


def test_a_very_long_program_ends(tmp_path, monkeypatch):
    """A million bytes `]` would be a million lists, 64 bytes each."""
    from minifcn.interop import pickles

    monkeypatch.setattr(pickles, "MOST", 1000)
    refused(tmp_path / "long.pth", zipped(b"]" * 10**6, {}), "has over 1000 instructions", 8 << 20)


def test_a_number_of_very_many_digits_is_no_hang():
    with pytest.raises(PickleRefused):
        read_pickle(io.BytesIO(b"I" + b"9" * 10**6 + b"\n."), NAMES)
