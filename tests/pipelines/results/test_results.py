"""Figures of sounds from what the stages leave, and which labels can be labelled at all."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lm.probing.probe_options import ProbeConfig
from pipelines.pages.phrasing import sentences
from pipelines.results.clip_figures import median
from pipelines.results.results import gross_pitch_error_clips, listening_record, sound_figures, weak_evaluator
from pipelines.results.run_record import Row
from pipelines.stages.listening import CLIPS, EVALUATED, GUARD, LABEL_ACCURACY, LISTENING, label_task
from pipelines.store.store import CachedArtifact, write_json
from tests.pipelines.tiny import session_of
from wordless.audio.recordings.manifest import Clip, Clips, Split

CONFIG = ProbeConfig(resamples=200)
LABELS = ("one", "two", "one", "two")


def clip(number: int, label: str | None, split: Split = "test") -> Clip:
    return Clip(path=f"{number}.wav", num_samples=24_000, sample_rate=8000, size=1, sha256="", label=label, split=split)


MANIFEST = Clips.from_rows(Path(), (clip(number, label) for number, label in enumerate(LABELS)))


def artifact(root: Path, stage: str, name: str, content: object) -> CachedArtifact:
    folder = root / stage
    folder.mkdir()
    write_json(folder / name, content)
    return CachedArtifact(stage=stage, key=f"key of {stage}", place=folder, reused=False)


KINDS = ("original", "harmonics", "griffin_lim", "wavenet")
HEARD = (  # of each clip, in the sound of each kind
    *(("one", "two", "two", "one"), ("two", "two", "two", "two")),
    *(("one", "one", "two", "one"), ("two", "two", "two", "one")),
)


def rows_of(*sounds: object, name: str = "sounds") -> list[dict[str, object]]:
    """A row for each clip."""
    return [{"path": f"{number}.wav", name: each} for number, each in enumerate(sounds)]


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, CachedArtifact]:
    labelled = rows_of(*(dict(zip(KINDS, each, strict=True)) for each in HEARD), name="labels")
    place = {"start": 0.25, "seconds": 1.0, "clip_seconds": 3.0}
    stoi = enumerate(((0.5, 0.4), (None, 0.1), (0.7, 0.5), (None, None)))
    sounds = ({"wavenet": {"stoi": own, "rms": n - 20.0}, "griffin_lim": {"stoi": other}} for n, (own, other) in stoi)
    generated_rows = [
        {"kind": "continuation", "file": f"{n}.wav", "clip": 0, "temperature": 0.7, "figures": {"peak": 0.2 + 0.2 * n}}
        for n in range(2)
    ]
    varied = {"of": "continuation", "temperature": 0.7, "sounds": 2, "distinct_1": 0.25, "distinct_2": None}
    listened = {
        **{"postfilter": 1.0, "pitch_comb": True, "generated": generated_rows, "diversity": [varied]},
        "clips": [{"path": "2.wav", "sounds": {"original": {"peak": 0.9}}}],
    }
    named = {"evaluator": "probe", "clips": labelled, "generated": [{"of": "x"}]}
    return {
        "label_accuracy": artifact(tmp_path, "label_accuracy", LABEL_ACCURACY, named),
        "decoded": artifact(tmp_path, "decoded", CLIPS, {"clips": [row | place for row in rows_of(*HEARD)]}),
        "evaluated": artifact(tmp_path, "evaluated", EVALUATED, {"clips": rows_of(*sounds)}),
        "listening": artifact(tmp_path, "listening", LISTENING, listened),
    }


def figures(artifacts: dict[str, CachedArtifact], manifest: Clips = MANIFEST) -> dict[tuple[str, str | None], Row]:
    return {(row.name, row.subject): row for row in sound_figures(artifacts, manifest, CONFIG, protocol="official")}


def labelled(*labels: str | None) -> Clips:
    """The judged clips with other labels."""
    return Clips.from_rows(MANIFEST.root, (clip(number, label) for number, label in enumerate(labels)))


def test_label_accuracy_is_the_share_of_right_labels(artifacts: dict[str, CachedArtifact]) -> None:
    found = figures(artifacts)
    assert [found["label_accuracy", of].value for of in KINDS] == [1, 0.75, 0.5, 0.75]
    wavenet = found["label_accuracy", "wavenet"]
    assert (wavenet.low or 0) < 0.75 < (wavenet.high or 0) <= 1
    assert found["label_accuracy_difference", "wavenet - griffin_lim"].value == 0.25
    assert found["label_accuracy_difference", "wavenet - harmonics"].value == 0
    ratio = found["label_accuracy_ratio", "wavenet / original"]
    assert ratio.value == 0.75
    assert (ratio.low or 0) < 0.75 < (ratio.high or 0) <= 1  # paired: every original is right in every draw
    assert wavenet.artifact == "key of label_accuracy"
    assert (wavenet.protocol, wavenet.split, wavenet.unit) == ("official", "test", "ratio")


def test_label_accuracies_are_of_the_labels_that_the_manifest_now_says(artifacts: dict[str, CachedArtifact]) -> None:
    """What WaveNet keeps is relative to the originals that are labelled."""
    assert figures(artifacts, labelled("two", *LABELS[1:]))["label_accuracy_ratio", "wavenet / original"].value == 2 / 3
    assert ("label_accuracy_ratio", "wavenet / original") not in figures(artifacts, labelled(*4 * ["three"]))
    found = figures(artifacts, labelled("two", "two", "one", None))
    assert found["label_accuracy", "original"].value == pytest.approx(2 / 3)
    assert ("label_accuracy", "original") not in figures(artifacts, labelled(*4 * [None]))


def test_means_and_differences_are_of_the_clips_that_can_be_measured(artifacts: dict[str, CachedArtifact]) -> None:
    """Their own means would be of other clips: 0.6 of clips 0 and 2, and 0.33 of clips 0, 1 and 2."""
    found = figures(artifacts)
    assert found["stoi", "wavenet"].value == pytest.approx(0.6)
    assert found["stoi_clips", "wavenet"].value == 2
    rms = found["rms", "wavenet"]
    assert rms.value == -18.5
    assert -20 <= (rms.low or 0) < -18.5 < (rms.high or 0) <= -17
    assert ("peak", "original") not in found  # of the clips to listen to, where others are judged
    both = found["stoi_difference", "wavenet - griffin_lim"]
    assert both.value == pytest.approx((0.1 + 0.2) / 2)
    assert (both.low, both.high) == (pytest.approx(0.1), pytest.approx(0.2))
    assert found["stoi_difference_clips", "wavenet - griffin_lim"].value == 2
    assert ("stoi_difference", "wavenet - harmonics") not in found  # it has no figure of its own


def test_sound_from_codes_is_compared_with_that_from_the_recorded_log_mel_on_the_same_clips(
    artifacts: dict[str, CachedArtifact],
) -> None:
    """The other clips are easier: means of all clips would say that codes lose nothing."""
    pairs = ((0.4, 0.8), (1.0, None), (0.6, 0.8), (0.9, None))
    sounds = (
        {"wavenet": {"stoi": own}} | ({} if recorded is None else {"wavenet_recorded": {"stoi": recorded}})
        for own, recorded in pairs
    )
    write_json(artifacts["evaluated"].folder / EVALUATED, {"clips": rows_of(*sounds)})
    found = figures(artifacts)
    assert found["stoi_difference", "wavenet - wavenet_recorded"].value == pytest.approx(-0.3)
    assert found["stoi_difference_clips", "wavenet - wavenet_recorded"].value == 2
    assert found["stoi_ratio", "wavenet / wavenet_recorded"].value == pytest.approx(0.625)
    record = listening_record(artifacts, artifacts["listening"], MANIFEST)
    assert (record["evaluated_clips"], record["recorded_clips"]) == (4, 2)


def test_level_and_voice_are_compared_with_the_recordings(artifacts: dict[str, CachedArtifact]) -> None:
    sounds = (
        {
            "original": {"rms": -20.0, "periodicity": 0.8},
            "wavenet": {"rms": -22.0 - number, "periodicity": 0.4 + 0.1 * number},
            "griffin_lim": {"periodicity": None, "pitch_error": 50.0},
        }
        for number in range(3)
    )
    write_json(artifacts["evaluated"].folder / EVALUATED, {"clips": rows_of(*sounds)})
    found = figures(artifacts)
    level, voice = found["rms_difference", "wavenet - original"], found["periodicity_ratio", "wavenet / original"]
    assert (level.value, level.unit) == (-3, "dB re full scale")
    assert voice.value == pytest.approx(0.5 / 0.8)
    assert -4 <= (level.low or 0) < -3 < (level.high or 0) <= -2
    assert 0.5 <= (voice.low or 0) < voice.value < (voice.high or 0) <= 0.75
    assert ("periodicity_ratio", "griffin_lim / original") not in found
    assert found["rms_difference_clips", "wavenet - original"].unit == "clips"


def test_the_network_s_part_in_the_codes_that_agree_is_its_lead_over_the_harmonics(
    artifacts: dict[str, CachedArtifact],
) -> None:
    sounds = ({"wavenet": {"code_agreement": 0.8 + more}, "harmonics": {"code_agreement": 0.75}} for more in (0, 0.1))
    write_json(artifacts["evaluated"].folder / EVALUATED, {"clips": rows_of(*sounds)})
    gap = figures(artifacts)["code_agreement_difference", "wavenet - harmonics"]
    assert (gap.value, gap.low, gap.high) == (pytest.approx(0.1), pytest.approx(0.05), pytest.approx(0.15))


def test_one_lost_clip_does_not_decide_the_pitch_error(artifacts: dict[str, CachedArtifact]) -> None:
    """A clip whose pitch is an octave off moves a mean by hundreds of cents; the median stays, and it is counted."""
    errors = {"wavenet": (30.0, 20.0, 1200.0, None, 40.0, 200.0), "griffin_lim": (60.0, 40.0, 10.0, 50.0, 80.0, 1100.0)}
    sounds = [{kind: {"pitch_error": own[number]} for kind, own in errors.items()} for number in range(6)]
    write_json(artifacts["evaluated"].folder / EVALUATED, {"clips": rows_of(*sounds)})
    found = figures(artifacts)
    own, rival = (found["median_pitch_error", kind] for kind in errors)
    assert (own.value, own.low, own.high, own.unit, rival.value) == (40, 20, 1200, "cents", 55)
    assert found["median_pitch_error_clips", "wavenet"].value == 5
    gap = found["median_pitch_error_difference", "wavenet - griffin_lim"]
    assert (gap.value, gap.low, gap.high, gap.unit) == (-30, -900, 1190, "cents")  # of -30, -20, 1190, -40, -900
    lost = found["gross_pitch_errors", "wavenet"]
    assert (lost.value, lost.unit) == (0.2, "ratio")  # 200 cents are not beyond 200
    assert found["gross_pitch_errors", "griffin_lim"].value == pytest.approx(1 / 6)
    assert found["gross_pitch_errors_difference", "wavenet - griffin_lim"].value == 0.0  # of the five that both have
    assert not [name for name, _ in found if name.startswith("pitch_error")]
    assert [(row["number"], row["path"]) for row in gross_pitch_error_clips(artifacts["evaluated"])] == [(2, "2.wav")]


def test_clips_without_a_gross_pitch_errors_leave_room_for_one(artifacts: dict[str, CachedArtifact]) -> None:
    write_json(
        artifacts["evaluated"].folder / EVALUATED, {"clips": rows_of(*[{"wavenet": {"pitch_error": 30.0}}] * 20)}
    )
    lost = figures(artifacts)["gross_pitch_errors", "wavenet"]
    assert (lost.value, lost.low, lost.high) == pytest.approx((0, 0, 0.168), abs=1e-3)  # of Clopper and Pearson


@pytest.mark.parametrize("count", [1, 5, 6, 20, 75])
def test_an_interval_of_a_median_is_the_narrowest_that_misses_it_as_rarely_as_it_says(count: int) -> None:
    _, low, high = median(np.arange(count, dtype=np.float64), 0.95)
    missed, narrower = (sum(math.comb(count, n) for n in range(int(low) + more)) / 2**count for more in (1, 2))
    assert high == count - 1 - low
    assert narrower > 0.025
    assert missed <= 0.025 or low == 0


def test_blocks_that_were_drawn_again_are_counted(artifacts: dict[str, CachedArtifact]) -> None:
    assert ("runaway_blocks", "wavenet") not in figures(artifacts)
    write_json(artifacts["decoded"].folder / GUARD, {"found": 3, "left": 1})
    found = figures(artifacts)
    assert [found[name, "wavenet"].value for name in ("runaway_blocks", "runaway_blocks_left")] == [3, 1]


def test_without_judged_clips_the_figures_are_of_those_to_listen_to(artifacts: dict[str, CachedArtifact]) -> None:
    found = figures({"listening": artifacts["listening"]})
    assert found["peak", "original"].value == 0.9
    assert ("stoi", "wavenet") not in found


def test_what_the_language_model_says_has_figures_of_its_own(artifacts: dict[str, CachedArtifact]) -> None:
    found = figures(artifacts)
    assert found["peak", "continuation@0.7"].value == pytest.approx(0.3)
    assert found["distinct_1", "continuation@0.7"].value == 0.25
    assert ("distinct_2", "continuation@0.7") not in found
    record: dict[str, Any] = listening_record(artifacts, artifacts["listening"], MANIFEST)
    assert record["evaluated_clips"] == 4
    assert record["clips"][0]["label"] == "one"
    assert record["generated_labels"] == [{"of": "x"}]
    assert record["evaluator_title"] == "a linear probe of log-mel"
    assert [row["start"] for row in record["excerpts"]] == [0.25] * 4
    assert record["warning"] is None


def test_intervals_are_over_clips_and_not_over_what_continues_them(tmp_path: Path) -> None:
    peaks = ((0, 0.1), (0, 0.3), (1, 0.5), (1, 0.7), (None, 0.2), (None, 0.4))
    generated_rows = [
        {"kind": "unconditional", "clip": None, "temperature": 1, "figures": {"peak": peak}}
        if clip is None
        else {"kind": "continuation", "clip": clip, "temperature": 1}
        | {"figures": {"peak": peak, "prompt_seconds": 0.5 + clip}}
        for clip, peak in peaks
    ]
    listened = {"generated": generated_rows, "postfilter": 1.0, "pitch_comb": True}
    found = figures({"listening": artifact(tmp_path, "listening", LISTENING, listened)})
    peak = found["peak", "continuation@1"]
    assert (peak.value, peak.low, peak.high) == pytest.approx((0.4, 0.2, 0.6))  # of two clips, drawn anew
    alone = found["peak", "unconditional@1"]
    assert (alone.value, alone.low, alone.high) == pytest.approx((0.3, 0.2, 0.4))
    seconds = found["prompt_seconds", "continuation@1"]
    assert (seconds.value, seconds.low, seconds.high) == (1.0, None, None)


def test_clips_without_labels_are_not_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits: tuple[Split, ...] = ("train", "train", "validation", "test")
    split = [replace(each, split=split) for each, split in zip(MANIFEST.clips, splits, strict=True)]

    def classes(clips: list[Clip], config: ProbeConfig = CONFIG) -> object:
        task = label_task(session_of(tmp_path), Clips.from_rows(MANIFEST.root, clips), config)
        return task and task.classes

    assert classes(split) == ("one", "two")
    assert classes(split, replace(CONFIG, label_separator=";")) is None
    assert classes([replace(each, label=None) for each in split]) is None
    assert capsys.readouterr().err.count("no label accuracy: ") == 2


@pytest.mark.parametrize(
    ("labels", "wrong", "warned"),
    [(["yes", "no"], 0, False), (["yes", "no"], 2, True), (["yes", "yes"], 0, True), ([None, None], 4, False)],
)
def test_a_classifier_that_fails_on_recordings_is_named(
    tmp_path: Path, labels: list[str | None], wrong: int, warned: bool
) -> None:
    clips = [clip(number, label) for number, label in enumerate(labels * 10)]
    heard = ({"original": "?" if number < wrong else each.label} for number, each in enumerate(clips))
    named = {"evaluator": "supervised", "clips": rows_of(*heard, name="labels")}
    labelled = artifact(tmp_path, "label_accuracy", LABEL_ACCURACY, named)
    found = weak_evaluator(labelled, Clips.from_rows(Path(), clips))
    assert (found is not None) == warned
    told = "".join(sentences("weak_judge", found))
    right = rf"{100 - 5 * wrong}% .*\b{20 - wrong} of 20 clips\b"
    assert not warned or re.search(rf"{right}.*'yes' .*baselines\.supervised\.fit\.steps\b", told)
