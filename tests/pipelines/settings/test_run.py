"""The settings of a run: seeds, folds, processes, and what the corpus decides."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipelines.commandline.choices import with_choices
from pipelines.commandline.options import index
from pipelines.commandline.overrides import prepare
from pipelines.settings.comparison import ComparisonConfig
from pipelines.settings.run import RunSettings
from pipelines.settings.run_rules import run_settings
from tests.pipelines.tiny_chain import ROOT, composed, config_of
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.base.errors import InputError

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
    assert dict(seeds(asdict(settings.with_seed(0)))) == dict(seeds(asdict(settings)))


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
        # it would need a GPT of one rate beside the others
        ((*UNHEARD, "tokenizer.rates=[8,4,2]", "lm.gpt.layers=3"), False),
    ],
)
def test_a_run_on_the_built_in_sentences_tests_word_order(words: tuple[str, ...], tested: bool, tmp_path: Path) -> None:
    stages = run_settings(composed(tmp_path, *words)).stages
    assert [stage for stage in stages if stage != "zerospeech"] == ["tokenizer", "lm", "probe", "vocoder", "report"]
    assert ("zerospeech" in stages) == tested


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


def test_crops_without_a_pitch_are_a_share_that_the_user_chooses(tmp_path: Path) -> None:
    crops = run_settings(composed(tmp_path, "vocoder.crops.pitch_dropout=0.5")).vocoder.crops
    assert (crops.pitch_dropout, crops.undisturbed.pitch_dropout) == (0.5, 0)


GROUPS = ("a", "b", "c", "d")


def clip(group: str, number: int, fold: str | None = None) -> Clip:
    path = f"{group}{number}.wav"
    return Clip(path=path, num_samples=100, sample_rate=100, size=200, sha256="", label="x", group=group, fold=fold)


MANIFEST = Clips.from_rows(Path("here"), (clip(group, number) for group in GROUPS for number in range(2)))


def config(**changes: Any) -> ComparisonConfig:
    return ComparisonConfig(**{"methods": ("gpt",), "folds": "group", "states": ("residual",), **changes})


def test_each_group_is_held_out_once_and_quick_comparisons_take_two_folds() -> None:
    folds, quick = (config().divide(MANIFEST, quick=quick) for quick in (False, True))
    assert [fold.name for fold in folds] == list(GROUPS)
    assert all({each.group for each in fold.of("test")} == {fold.name} for fold in folds)
    assert (len(quick), all(fold in folds for fold in quick)) == (2, True)
    assert [*config(folds=None).divide(MANIFEST, quick=False)] == [MANIFEST]


def test_a_group_that_given_folds_cut_is_refused_unless_allowed() -> None:
    clips = tuple(clip(group, number, fold=str(number)) for group in GROUPS for number in range(3))
    cut = Clips.from_rows(Path("here"), clips)
    with pytest.raises(InputError, match=r"group 'a'.*\bsplits\b.*corpus\.split\.shared_groups=true\b"):
        config(folds="fold").divide(cut, quick=False)
    allowed = config(folds="fold").divide(cut, quick=False, shared_groups=True)
    assert [fold.name for fold in allowed] == ["0", "1", "2"]
    whole = Clips.from_rows(cut.root, (clip(group, 0, fold=group) for group in GROUPS))
    assert [fold.name for fold in config(folds="fold").divide(whole, quick=False)] == list(GROUPS)


MACHINES = 2  # in the script for Slurm


def documented() -> list[tuple[int, list[str]]]:
    """The processes and the options of each line with torchrun in the documents."""
    pages = [ROOT / "docs" / name for name in ("training_processes.md", "guide.md")]
    text = "\n".join(page.read_text() for page in pages).replace("\\\n", " ").replace('"$SLURM_NNODES"', str(MACHINES))
    lines = re.findall(r"^(?:srun )?torchrun .*-m pipelines\.run.*", text, re.MULTILINE)
    found = []
    for line in lines:
        words = shlex.split(line, comments=True)
        launcher, options = words[: words.index("pipelines.run")], words[words.index("pipelines.run") + 1 :]
        counts = dict(word.lstrip("-").split("=", 1) for word in launcher if "=" in word)
        found.append((int(counts.get("nnodes", 1)) * int(counts["nproc-per-node"]), options))
    return found


@pytest.mark.parametrize(("processes", "options"), documented())
def test_lines_of_the_documents_suit_their_number_of_processes(processes: int, options: list[str]) -> None:
    settings = run_settings(config_of("run", *prepare(options, index("run")).overrides))
    assert settings.trains_lm
    for batches, fit in ((settings.lm.batches, settings.lm.fit), (settings.vocoder.crops, settings.vocoder.fit)):
        assert batches.batch_size % (processes * fit.accumulation) == 0
