"""The settings of a run, one seed after another."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from pipelines.commandline.choices import with_choices
from pipelines.settings.run import RunSettings, run_settings
from tests.pipelines.tiny_chain import composed, config_of
from wordless.base.errors import InputError
from wordless.base.seeds import MAX_SEED

KEPT = ("corpus", "embedded", "probe", "listening", "rates", "zerospeech")


def seeds(values: Mapping[str, object], place: str = "") -> Iterator[tuple[str, int]]:
    """Each option that is called seed, and its value."""
    for name, value in values.items():
        if name == "seed" and isinstance(value, int):
            yield f"{place}seed", value
        elif isinstance(value, Mapping):
            yield from seeds(value, f"{place}{name}.")


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    return run_settings(composed(tmp_path, "seed=1", "seeds=3", "stages=[lm,probe]"))


def test_another_seed_moves_every_training_and_no_division(settings: RunSettings) -> None:
    plain, moved = dict(seeds(asdict(settings))), dict(seeds(asdict(settings.with_seed(2))))
    assert {"seed", "lm.fit.seed", "lm.batches.seed", "vocoder.crops.seed", "corpus.split.seed"} <= set(plain)
    assert moved == {place: seed + 2 * (place.partition(".")[0] not in KEPT) for place, seed in plain.items()}
    assert settings.with_seed(2).lm.fit.steps == settings.lm.fit.steps


def test_number_0_has_the_seeds_of_the_run(settings: RunSettings) -> None:
    assert dict(seeds(asdict(settings.with_seed(0)))) == dict(seeds(asdict(settings)))


def test_the_last_seed_may_be_the_largest(tmp_path: Path) -> None:
    words = (f"seed={MAX_SEED - 1}", "seeds=2", "stages=[lm,probe]")
    assert run_settings(composed(tmp_path, *words)).with_seed(1).vocoder.fit.seed == MAX_SEED


def test_a_seed_that_becomes_too_large_is_named(tmp_path: Path) -> None:
    settings = run_settings(composed(tmp_path, f"lm.fit.seed={MAX_SEED}", "seeds=2", "stages=[lm,probe]"))
    with pytest.raises(InputError, match=rf"^lm\.fit\.seed\b.*\b{MAX_SEED + 1}\b"):
        settings.with_seed(1)


def test_columns_of_a_table_are_named_by_names_or_numbers(tmp_path: Path) -> None:
    words = ("corpus.table=t.csv", "corpus.columns.audio='1'", "corpus.columns.label=3", "corpus.missing=list")
    corpus = run_settings(composed(tmp_path, *words)).corpus
    assert corpus.columns.named == {"audio": ("1",), "label": ("3",)}
    several = run_settings(composed(tmp_path, "corpus.table=t.csv", "corpus.columns.label=[tempo,key]")).corpus
    assert several.columns.labels == ("tempo", "key")


UNHEARD = ("embedded.words=null", "embedded.takes=null")  # sentences, which the tiny chain replaces by words


@pytest.mark.parametrize(
    ("words", "tested"),
    [
        (UNHEARD, True),
        ((*UNHEARD, "embedded.voices=41"), False),  # the test needs 12 voices that are not trained on
        ((*UNHEARD, "embedded.voices=50", "zerospeech.voices=2"), True),
        ((*UNHEARD, "embedded.voices=null", "zerospeech.voices=20"), True),
        ((*UNHEARD, "embedded.label=speed"), False),  # words, which vary more
        ((), False),  # words
        ((*UNHEARD, "corpus.root=x"), False),
        ((*UNHEARD, "corpus.dataset=x"), False),
        (
            (*UNHEARD, "tokenizer.rates=[8,4,2]", "lm.gpt.layers=3"),
            False,
        ),  # it would need a GPT of one rate beside the others
    ],
)
def test_a_run_on_the_built_in_sentences_tests_word_order(words: tuple[str, ...], tested: bool, tmp_path: Path) -> None:
    stages = run_settings(composed(tmp_path, *words)).stages
    assert [stage for stage in stages if stage != "zerospeech"] == ["tokenizer", "lm", "probe", "vocoder", "report"]
    assert ("zerospeech" in stages) == tested


def test_more_test_voices_leave_fewer_for_training(tmp_path: Path) -> None:
    for unheard, voices in ((5, 40), (12, 40), (20, 32), (51, 1)):
        words = (*UNHEARD, "embedded.voices=null", f"zerospeech.voices={unheard}")
        assert run_settings(composed(tmp_path, *words)).embedded.voices == voices
    with pytest.raises(InputError, match=r"^zerospeech\.voices\b.*\b51\b"):
        run_settings(composed(tmp_path, *UNHEARD, "embedded.voices=null", "zerospeech.voices=52"))


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ((), (2e-3, "codes", 4)),
        (("lm.fit.lr=3e-3", "listening.judge=supervised", "listening.clips=9"), (3e-3, "supervised", 9)),
        (("embedded.words=3",), (1e-3, "probe", 6)),
        (("corpus.root=x",), (1e-3, "probe", 6)),
        (("corpus.table=x",), (1e-3, "probe", 6)),
        (("corpus.root=x", "unlabelled=embedded"), (1e-3, "probe", 6)),
        (("experiment=codebook_sweep",), (1e-3, "probe", 6)),  # of words
        (("experiment=spoken_sentences",), (1e-3, "codes", 4)),  # it names its learning rate
    ],
)
def test_what_was_measured_on_the_sentences_holds_for_them_alone(
    words: tuple[str, ...], chosen: tuple[float, str, int]
) -> None:
    config = config_of("run", *words)
    settings = run_settings(config)
    assert (settings.lm.fit.lr, settings.listening.judge, settings.listening.clips) == chosen
    assert with_choices(config)["lm"]["fit"]["lr"] == chosen[0]  # type: ignore[index]  # recorded


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ((), 0),
        (("corpus.root=x",), 300),
        (("corpus.table=x",), 300),
        (("corpus.root=x", "vocoder.fit.steps=0"), 0),
        (("corpus.root=x", "audio.sample_rate=24000"), 300),
        (("vocoder.start=null",), 300),
    ],
)
def test_built_in_voices_alone_need_no_training_of_the_voice_that_ships(words: tuple[str, ...], steps: int) -> None:
    vocoder = run_settings(config_of("run", *words)).vocoder
    assert vocoder.fit.steps == steps
    assert (vocoder.start is None) == any(word.startswith(("audio", "vocoder.start")) for word in words)


def test_named_stages_are_the_stages(tmp_path: Path) -> None:
    assert run_settings(composed(tmp_path, *UNHEARD, "stages=[lm]")).stages == ("lm",)
