"""Altered folders of models: every file of each of them missing, damaged, of another model, or saying what it must not.

`alterations` makes the same folders from the same run in the same order, whatever machine it is on.
"""

import json
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

PARTS = ("tokenizer", "lm", "vocoder")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
NESTED = "[" * 50_000 + "]" * 50_000
VALUES: tuple[object, ...] = (
    *(None, "", "x", "../../x", True, 0, -1, 2.5, 10**6, 2**31, 2**62, 10**30, -(10**30), 1e300),
    *([], [1], {}, {"a": 1}, [None] * 3),
)
TEXTS = ("NaN", "Infinity", "9" * 5000, NESTED, '"\\ud800"', "1e999", "")  # in place of a value, as they stand


class PlantedCode:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@dataclass(frozen=True, kw_only=True)
class Alteration:
    """One change of one part of a run."""

    part: str
    name: str  # says what was changed
    apply: Callable[[Path], None]  # to the folder of the part


def alterations(run: Path, other: Path, planted: Path, *, seed: int = 0) -> Iterator[Alteration]:
    """All changes of a run; ``other`` is a run of other models, ``planted`` what a pickle would make."""
    for part in PARTS:
        for name in (CONFIG, WEIGHTS):
            another, rng = (other / part / name).read_bytes(), random.Random(f"{seed} {part} {name}")
            for what, apply in _of_a_file(name, another, planted, rng):
                yield Alteration(part=part, name=f"{name} {what}", apply=apply)
        for what, apply in _of_json((run / part / CONFIG).read_text()):
            yield Alteration(part=part, name=f"{CONFIG} {what}", apply=apply)
        for what, apply in _of_tensors(load_file(run / part / WEIGHTS)):
            yield Alteration(part=part, name=f"{WEIGHTS} {what}", apply=apply)


def altered(run: Path, place: Path, alteration: Alteration) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place)
    alteration.apply(place / alteration.part)
    return place


Change = tuple[str, Callable[[Path], None]]


def _of_a_file(name: str, another: bytes, planted: Path, rng: random.Random) -> Iterator[Change]:
    def written(content: bytes) -> Callable[[Path], None]:
        return lambda folder: _replace(folder / name, content)

    yield "missing", lambda folder: (folder / name).unlink()
    yield "empty", written(b"")
    yield "random", written(rng.randbytes(len(another)))
    yield "of zeros", written(bytes(len(another)))
    yield "of another model", written(another)
    yield "with more behind it", lambda folder: _replace(folder / name, (folder / name).read_bytes() + b"\0more")
    yield "a pickle", written(pickle.dumps(PlantedCode(planted)))
    for what, make in (
        ("a folder", Path.mkdir),
        ("a link to itself", lambda path: path.symlink_to(path.name)),
        ("a link to nowhere", lambda path: path.symlink_to("nowhere")),
        ("a link to a device", lambda path: path.symlink_to("/dev/zero")),
        ("a pipe", os.mkfifo),
    ):
        yield what, lambda folder, make=make: ((folder / name).unlink(), make(folder / name))  # type: ignore[misc]
    for _ in range(12):
        share = rng.random()
        yield f"cut at {share:.3f}", lambda folder, share=share: _cut(folder / name, share)  # type: ignore[misc]
    for number in range(20):
        place, bit = rng.random(), rng.randrange(8)
        name_of_flip = f"with bit {bit} at {place:.4f} flipped {number}"
        yield name_of_flip, lambda folder, place=place, bit=bit: _flip(folder / name, place, bit)  # type: ignore[misc]


def _of_json(text: str) -> Iterator[Change]:
    whole = json.loads(text)
    for place in _places(whole):
        for number, value in enumerate(VALUES):
            if (number + len(place)) % 2 == 0 or place[-1] not in whole:  # half of them at the top
                yield f"{'.'.join(place)}={value!r:.30}", lambda folder, p=place, v=value: _set(folder, p, v)  # type: ignore[misc]
        for value in TEXTS[:3]:
            yield f"{'.'.join(place)}={value:.20}", lambda folder, p=place, v=value: _set_text(folder, p, v)  # type: ignore[misc]
        yield f"{'.'.join(place)} missing", lambda folder, p=place: _remove(folder, p)  # type: ignore[misc]
    for value in TEXTS:
        first = next(iter(whole))
        yield f"{first}={value:.20} as it stands", lambda folder, p=(first,), v=value: _set_text(folder, p, v)  # type: ignore[misc]
    others = ("[]", "null", "1", NESTED, '{"a": ' * 50_000)
    for value in (*others, text * 2, text[:-2], "\ufeff" + text, text.replace(":", "=")):
        yield f"holding {value!r:.20} of {len(value)}", lambda folder, v=value: _replace(folder / CONFIG, v.encode())  # type: ignore[misc]
    yield "with a further key", lambda folder: _set(folder, ("further",), 1)
    yield "in another encoding", lambda folder: _replace(folder / CONFIG, text.encode("utf-16"))


def _of_tensors(tensors: dict[str, Tensor]) -> Iterator[Change]:
    names = sorted(tensors)

    def saved(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
        return lambda folder: _save(folder, change(dict(tensors)))

    for name in names:
        value = tensors[name]
        yield f"{name} missing", saved(lambda all_, name=name: {k: v for k, v in all_.items() if k != name})  # type: ignore[misc]
        for what, changed in (
            ("NaN", value * float("nan")),
            ("infinite", value + float("inf")),
            ("float16", value.half()),
            ("float64", value.double()),
            ("int64", value.long()),
            ("flat", value.reshape(-1)[:-1].clone()),
            ("one dimension more", value[None].clone()),
        ):
            yield f"{name} {what}", saved(lambda all_, name=name, changed=changed: {**all_, name: changed})  # type: ignore[misc]
    yield "with a further tensor", saved(lambda all_: {**all_, "further": all_[names[0]]})
    yield "with swapped names", saved(lambda all_: {**all_, names[0]: all_[names[1]], names[1]: all_[names[0]]})
    for length in (0, 1, 7, 1 << 20, 1 << 31, 1 << 60, (1 << 64) - 1):
        yield f"whose header has length {length}", lambda folder, n=length: _set_header_length(folder / WEIGHTS, n)  # type: ignore[misc]
    for before, after in ((b'"F32"', b'"F64"'), (b'"F32"', b'"X99"'), (b'"shape":[', b'"shape":[-'), (b"off", b"aff")):

        def reworded(folder: Path, before: bytes = before, after: bytes = after) -> None:
            _replace(folder / WEIGHTS, (folder / WEIGHTS).read_bytes().replace(before, after, 1))

        yield f"whose header says {after.decode()}", reworded


def _replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def _flip(path: Path, place: float, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)


def _set_header_length(path: Path, length: int) -> None:
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])


def _save(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Write weights, and their hash into the config where that has one: who alters on purpose does so, too."""
    from wordless.base.files import file_hash

    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / WEIGHTS)
    config = json.loads((folder / CONFIG).read_text())
    if "weights_sha256" in config:
        config["weights_sha256"] = file_hash(folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config))


Place = tuple[str, ...]


def _places(values: dict[str, object], above: Place = ()) -> Iterator[Place]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _places(value, (*above, key))


def _around(config: dict[str, object], place: Place) -> dict[str, object]:
    for key in place[:-1]:
        inner = config[key]
        assert isinstance(inner, dict)
        config = inner
    return config


def _set(folder: Path, place: Place, value: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    _around(config, place)[place[-1]] = value
    (folder / CONFIG).write_text(json.dumps(config))


def _set_text(folder: Path, place: Place, text: str) -> None:
    mark = "what is to be replaced"
    _set(folder, place, mark)
    path = folder / CONFIG
    path.write_text(path.read_text().replace(json.dumps(mark), text), encoding="utf-8")


def _remove(folder: Path, place: Place) -> None:
    config = json.loads((folder / CONFIG).read_text())
    del _around(config, place)[place[-1]]
    (folder / CONFIG).write_text(json.dumps(config))
