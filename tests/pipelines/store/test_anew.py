"""Why a stage is computed anew."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.store.session import NEWEST, why_anew
from pipelines.store.store import ENTRY, Recipe, Store
from tests.pipelines.tiny import session_of

TOKENIZER = Recipe(
    "tokenizer", 1, config={"tokenizer": {"codebook_size": 256, "seed": 0}}, inputs={"autoencoder": "0123456789abcdef"}
)
LM = {"lm": {"gpt": {"layers": 6, "dims": (1, 2)}, "fit": {"steps": 500}}, "threads": 2}


def lm(**options: object) -> dict[str, object]:
    return {**LM, "lm": {**LM["lm"], **options}}  # type: ignore[dict-item]  # its options are a dictionary


def made(store: Store, recipe: Recipe) -> str:
    with store.making(recipe, ["done"]) as folder:
        (folder / "done").write_text(recipe.stage)
    return recipe.key


def lm_of(
    store: Store, tokenizer: Recipe = TOKENIZER, config: Mapping[str, object] = LM, recordings: str = "a"
) -> Recipe:
    """The recipe of a language model whose codes are in the store."""
    codes = Recipe("codes", 1, config={}, inputs={"tokenizer": tokenizer.key, "recordings": recordings})
    for recipe in (tokenizer, codes):
        if store.find(recipe) is None:
            made(store, recipe)
    return Recipe("lm", 1, config=config, inputs={"codes": codes.key, "views": None})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    made(store, lm_of(store))
    return store


def test_the_first_of_its_stage_has_no_reason(store: Store) -> None:
    assert not why_anew(store.root, replace(TOKENIZER, stage="vocoder"))
    assert not why_anew(store.root / "nowhere", TOKENIZER)


def test_options_are_named_with_both_values(store: Store) -> None:
    why = why_anew(store.root, lm_of(store, config={**LM, "threads": 1}))
    assert re.search(r"threads=1\b.*threads=2\b", why)
    why = why_anew(store.root, lm_of(store, config=lm(fit={"steps": 1000}, gpt={"layers": 6})))
    assert "lm.fit.steps=1000" in why
    assert "lm.fit.steps=500" in why
    assert "lm.gpt.dims=[1, 2]" in why
    assert "layers" not in why
    assert "version" in why_anew(store.root, replace(lm_of(store), version=2))


def test_what_differs_before_the_stage_is_found_there(store: Store) -> None:
    other = replace(TOKENIZER, config={"tokenizer": {"codebook_size": 128, "seed": 0}})
    why = why_anew(store.root, lm_of(store, other))
    assert re.search(r"\bcodes\b.*tokenizer\.codebook_size=128\b", why)
    assert "tokenizer.codebook_size=256" in why
    assert "recordings" in why_anew(store.root, lm_of(store, recordings="b"))
    assert "autoencoder" in why_anew(store.root, replace(TOKENIZER, inputs={"autoencoder": "f" * 16}))
    views = replace(lm_of(store), inputs={**lm_of(store).inputs, "views": "f" * 16})
    assert "views" in why_anew(store.root, views)
    assert "=" not in why_anew(store.root, views)
    copied = Recipe("tokenizer", 1, config={}, inputs={"tokenizer.start": "0123"})
    assert "tokenizer.start" in why_anew(store.root, copied)
    assert "tokenizer.start" in why_anew(store.root, lm_of(store, copied))
    begun = replace(lm_of(store), inputs={**lm_of(store).inputs, "lm.start": "f" * 16})
    assert "lm.start" in why_anew(store.root, begun)
    assert "codebook_size" not in why_anew(store.root, copied)
    both = why_anew(store.root, lm_of(store, other, config={**LM, "threads": 1}))
    assert "threads=1" in both
    assert "tokenizer.codebook_size=128" in both


def probed(of: str, *, seed: int = 0, features: str = "a", **more: object) -> Recipe:
    """The recipe of the probes of a method."""
    return Recipe(
        "probed", 4, config={"probe": {"tries": 12, "seed": seed, **more}, "method": of}, inputs={"features": features}
    )


def test_only_entries_about_the_same_method_are_compared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made(store, probed("log_mel", seed=1, features="b"))
    assert not why_anew(store.root, probed("supervised", seed=1, features="b"))
    made(store, probed("supervised", features="b"))
    why = why_anew(store.root, probed("supervised", seed=1, features="b"))
    assert why == "probe.seed=1 (the store has probe.seed=0)"
    assert "probe.classifier=ridge" in why_anew(store.root, probed("supervised", features="b", classifier="ridge"))


def test_methods_that_are_added_are_named_as_such(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = {of: made(store, probed(of)) for of in ("gpt", "log_mel", "mfcc")}

    def probe(*methods: str, scores: str = "") -> Recipe:
        inputs = {"compared methods": " ".join(keys[of] for of in methods), "scores": scores}
        return Recipe("probe", 6, config={"probe": {"tries": 12}}, inputs=inputs)

    made(store, probe("gpt", "log_mel"))
    for other in (probe("gpt", "log_mel", "mfcc"), probe("gpt", "mfcc")):
        why = why_anew(store.root, other)
        assert "methods" in why
        assert "=" not in why
        assert "another" not in why
    assert "scores" in why_anew(store.root, probe("gpt", "log_mel", scores="ast:0123456789abcdef"))


def test_the_nearest_entry_is_the_one_that_is_named(store: Store) -> None:
    near = lm_of(store, config=lm(fit={"steps": 7}))
    far = lm_of(store, recordings="b", config={**lm(gpt={"layers": 3}), "threads": 9})
    for recipe in (near, far):
        made(store, recipe)
    assert why_anew(store.root, lm_of(store, config={**lm(fit={"steps": 8}), "threads": 1})).count("=") == 4
    why = why_anew(store.root, lm_of(store, config={**lm(fit={"steps": 7}), "threads": 1}))
    assert re.search(r"threads=1\b.*threads=2\b", why)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"config": 7}', b'{"inputs": [1], "config": null}', b"\xff", b"[" * 99999]
)
def test_damaged_entries_are_left_out(store: Store, content: bytes) -> None:
    damaged = lm_of(store, config={**LM, "threads": 3})
    made(store, damaged)
    (store.folder(damaged) / ENTRY).write_bytes(content)
    os.mkfifo(store.root / "lm" / ("0" * 16))
    why = why_anew(store.root, lm_of(store, config={**LM, "threads": 1}))
    assert re.search(r"threads=1\b.*threads=2\b", why)
    for folder in store.root.glob("codes/*"):
        (folder / ENTRY).write_bytes(content)
    assert "codes" in why_anew(store.root, Recipe("lm", 1, config=LM, inputs={"codes": "f" * 16}))


def test_only_the_newest_entries_are_read(store: Store) -> None:
    (old,) = (store.root / "lm").glob("????????????????")
    os.utime(old, (1, 1))
    for number in range(NEWEST):
        newer = shutil.copytree(old, old.with_name(f"{number:016x}"))
        (newer / ENTRY).write_text("{}")
        os.utime(newer, (2, 2))
    assert "threads=2" not in why_anew(store.root, lm_of(store, config={**LM, "threads": 1}))


def test_a_stage_says_why_it_is_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of(tmp_path)
    for size in (256, 128, 128):
        recipe = replace(TOKENIZER, config={"tokenizer": {"codebook_size": size}})
        session.obtain(recipe, "k-means", lambda folder: (folder / "done").touch(), files=["done"])
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "computed anew" in line]
    assert told.startswith("tokenizer")
    assert "tokenizer.codebook_size=128" in told
    assert "256" in told
