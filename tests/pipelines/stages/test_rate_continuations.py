"""The stage ``rates``: continuations by both models, the labels of their windows, and their place in the report."""

import json
import math
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lm.generation import Sampling
from lm.model import LanguageModel
from pipelines.results.language_figures import stabilities
from pipelines.results.run_record import read_results
from pipelines.settings.run import run_settings
from pipelines.stages.rates import (
    continued_clips,
    diversities,
    require_long_enough,
    window_levels,
    windows_of,
    windows_of_coded,
)
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed, run, stored
from tokenizer.tokenizer import Tokenizer
from vocoder.continuing import Prompt
from vocoder.kinds import GRIFFIN_LIM
from vocoder.options import Sampling as SoundSampling
from vocoder.synthesis import create_synthesis
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

METHODS = "compare.methods=[log_mel,bag_of_rate_1,gpt_of_rate_2]"
WORDS = (
    *("tokenizer.rates=[8,2]", "stages=[rates,probe,report]", METHODS, "probe.learning_curve=[]"),
    *("rates.clips=2", "rates.seconds=0.5", "rates.window_seconds=0.1", "rates.prompt_seconds=0.2"),
)


@pytest.fixture(scope="module")
def compared(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with the stage."""
    place = tmp_path_factory.mktemp("compared")
    store = shutil.copytree(finished_run.store, place / "store")
    before = stored(store)
    assert run(store, place / "run", *WORDS) == 0
    assert {path: digest for path, digest in stored(store).items() if path in before} == before
    return place / "run"


@pytest.mark.slow
def test_figures_of_all_rates_stand_beside_the_flat_gpt(compared: Path) -> None:
    results = read_results(compared)
    record, figures = results["rates"], results["figures"].where(stage="rates")

    def values(name: str) -> dict[str | None, float]:
        return {row.of: row.value for row in figures.where(name=name)}

    assert record["frames"] == [8, 2]
    assert list(values("codes_per_second")) == ["rate_1", "rate_2", "flat"]
    assert values("codes_per_second")["flat"] == 4 * values("codes_per_second")["rate_1"]
    sizes = values("parameters")
    assert sizes["rate_1"] + sizes["rate_2"] == pytest.approx(sizes["flat"], rel=0.15)
    assert {*values("training_steps").values()} == {8}
    assert {*values("distinct_1")} == {"rates", "flat", "recordings"}
    names = {row.name.removesuffix("_difference") for row in figures if row.against}
    assert {"label_kept", "label_lasting"} <= names <= {"label_kept", "label_lasting", "label_stability"}
    assert record["over"] == "clips"  # of two clips


@pytest.mark.slow
def test_continuations_are_those_of_the_models(compared: Path) -> None:
    content = json.loads((compared / "rates/continuations.json").read_text())
    tokenizer = Tokenizer.from_pretrained(compared / "tokenizer")
    rate = tokenizer.format.sample_rate
    for row in content["said"]:
        samples = soundfile.info(compared / "rates" / row["file"]).frames
        assert samples == round(row["prompt_seconds"] * rate) + round(0.5 * rate)
        assert row["prompt_seconds"] * rate % tokenizer.format.samples_per_code == 0
        assert len(row["levels"]) == 5
    row = next(row for row in content["said"] if row["of"] == "rates")
    own = run_settings(composed(compared, *WORDS)).rates
    windows = windows_of(compared / "rates", row, own)
    assert windows[0].start == round(row["prompt_seconds"] * rate)
    assert windows[-1].start + windows[-1].num_samples == soundfile.info(compared / "rates" / row["file"]).frames
    prompts = [
        Prompt(waveform=sound, codes=tokenizer.encode(sound))
        for number, row in enumerate(row for row in content["said"] if row["of"] == "rates")
        for sound in [beginning(compared / f"rates/{number // own.continuations}_original.wav", row["prompt_seconds"])]
    ]
    sampling = Sampling(temperature=own.temperature, top_k=own.top_k)
    rates = LanguageModel.from_pretrained(compared / "lm").generate_batch(
        [prompt.codes for prompt in prompts], seconds=0.5, sampling=sampling, seed=own.seed
    )
    flat = flat_gpt(compared).generate_batch(
        [prompt.finest.codes for prompt in prompts], seconds=0.5, sampling=sampling, seed=own.seed
    )
    synthesis = create_synthesis(GRIFFIN_LIM, tokenizer.finest, SoundSampling(seed=own.seed))
    for of, codes in (("rates", [each.finest for each in rates]), ("flat", flat)):
        names = [
            f"{clip['path']} continuation {number}" for clip in content["clips"] for number in range(own.continuations)
        ]
        past = [prompt.finest for prompt in prompts]
        sounds = synthesis.sounds(codes, [None] * len(codes), names=names, prompts=past)
        for row, sound in zip((row for row in content["said"] if row["of"] == of), sounds, strict=True):
            written = soundfile.read(compared / "rates" / row["file"], dtype="float32")[0]
            new = written[round(row["prompt_seconds"] * rate) :]
            # The prompt in the file has 16 bits, which changes the first phases of Griffin-Lim. The sounds of two
            # different continuations differ by more than the norm of one.
            assert np.linalg.norm(new - sound.samples) < 0.2 * np.linalg.norm(sound.samples)
    assert any(one.values.tobytes() != other.finest.values.tobytes() for one, other in zip(flat, rates, strict=True))


def beginning(path: Path, seconds: float) -> Waveform:
    samples, rate = soundfile.read(path, dtype="float32")
    return Waveform(samples=samples[: round(seconds * rate)], sample_rate=rate)


def flat_gpt(folder: Path) -> LanguageModel:
    """The flat GPT of a run, which lies in its store alone."""
    keys = {row.artifact for row in read_results(folder)["figures"] if row.of == "flat"}
    (own,) = (path for path in (folder.parent / "store/lm").iterdir() if path.name in keys)
    return LanguageModel.from_pretrained(own)


@pytest.mark.parametrize(
    ("labels", "sounding", "of_all"),
    [
        (["a", "a", "b"], 0.5, 0.5),
        (["a", None, "a"], None, 0.0),
        (["a", "a", None, "b", "b"], 1.0, 0.5),
        ([None, None], None, 0.0),
        (["a"], None, None),
        ([], None, None),
    ],
)
def test_silence_is_no_label_that_is_kept(
    labels: list[str | None], sounding: float | None, of_all: float | None
) -> None:
    assert stabilities(labels) == {"label_stability": sounding, "label_lasting": of_all}


def test_clips_shorter_than_a_coarse_code_are_not_continued(tmp_path: Path) -> None:
    clips = [
        Clip(path=f"{length}.wav", split="test", sha256="", size=1, sample_rate=4000, num_samples=length)
        for length in (319, 320, 2000)
    ]
    manifest = Manifest(root=tmp_path, clips=tuple(clips))
    assert [clip.num_samples for clip in continued_clips(manifest, 3, shortest=0.08, seed=0)] == [320, 2000]
    with pytest.raises(InputError, match=r"no test clip\b.*\b0\.6 s\b"):
        require_long_enough(manifest, shortest=0.6)


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_windows_cover_a_sound_and_end_within_it(seconds: float, tmp_path: Path) -> None:
    words = ("rates.seconds=1.5", f"rates.window_seconds={seconds}")
    own = run_settings(composed(tmp_path, *WORDS, *words)).rates
    for rate in (8_000, 11_025, 44_100):
        bounds = own.window_bounds(own.windows, rate)
        assert len(bounds) == round(1.5 / seconds) + 1
        assert round(1.5 * rate) - 1 <= bounds[-1] <= round(1.5 * rate)
        lengths = {end - start for start, end in pairwise(bounds)}
        assert lengths <= {math.floor(seconds * rate), math.ceil(seconds * rate)}


def test_every_window_ends_within_its_sound(tmp_path: Path) -> None:
    own = run_settings(composed(tmp_path, *WORDS, "rates.seconds=1.5", "rates.window_seconds=0.3")).rates
    samples = np.append(np.zeros(16_537, np.float32), np.float32(1))  # 1.5 s at 11,025 Hz; the last sample is loud
    Waveform(samples=samples, sample_rate=11_025).write(tmp_path / "a.wav")
    new, coded = (
        list_windows(tmp_path, {"file": "a.wav", "prompt_seconds": 0.0, "levels": [0.0] * 5}, own)
        for list_windows in (windows_of, windows_of_coded)
    )
    assert [(each.start, each.num_samples) for each in new] == [(each.start, each.num_samples) for each in coded]
    assert new[-1].start + new[-1].num_samples == 16_537
    assert all(one.start + one.num_samples == other.start for one, other in pairwise(new))
    assert window_levels(Waveform(samples=samples, sample_rate=11_025), own, 5)[-1] == pytest.approx(-100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tokenizer.rates=null"], r"stages\b.*\brates\b.*tokenizer\.rates\b.*\bnull\b"),
        (["seeds=2"], r"\bstage rates\b"),
        (["rates.window_seconds=0.3"], r"rates\.window_seconds\b.*\b0\.3\b"),
        (["rates.seconds=0"], r"rates\.seconds\b.*\b0\b"),
        (["rates.prompt_seconds=0.03"], r"rates\.prompt_seconds\b.*\b0\.03\b.*\b0\.08 s\b.*\b0\.04\b"),
        (["stages=[rates,report]", "corpus.label_type=number"], r"\bclasses\b"),
        (
            [
                *("stages=[rates,report]", "listening.judge=supervised"),
                *("baselines.supervised.batches.batch_size=3", "baselines.supervised.fit.accumulation=2"),
            ],
            r"baselines\.supervised\.batches\.batch_size\b.*\b3\b.*\b2\b",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    plain = () if words != ["tokenizer.rates=null"] else ("compare.methods=[gpt]",)
    with pytest.raises(InputError, match=message):
        run_settings(composed(tmp_path, *WORDS, *words, *plain))


def codes(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array(values, np.int32)[:, None]


def test_diversity_is_counted_over_as_many_codes_and_pairs_as_recordings_have() -> None:
    """The model has three times as many codes; without a cut its share would be a third."""
    once = codes(*range(100))
    rows = {row["of"]: row for row in diversities({"recordings": [once], "flat": [once, once, once]}, seed=0)}
    assert {of: (row["steps"], row["distinct_1"], row["distinct_3"]) for of, row in rows.items()} == {
        "recordings": (100, 1.0, 1.0),
        "flat": (100, 1.0, 1.0),
    }
    short = [codes(0, 1), codes(0, 1), codes(2, 3), codes(2, 3)]
    rows = {row["of"]: row for row in diversities({"recordings": short, "rates": [codes(*range(8))]}, seed=0)}
    assert rows["recordings"]["distinct_2"] == pytest.approx(2 / 4)
    assert rows["rates"]["distinct_2"] == 1.0
    assert rows["recordings"]["distinct_3"] is None  # no recording has three codes
    assert rows["rates"]["distinct_3"] is None
