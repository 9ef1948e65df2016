"""The plugin that judges decoded speech: its models, its stage, its figures and its page."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.jobs.run_rules import run_settings
from pipelines.plugins.speech_judges import PLUGIN, opinions
from pipelines.plugins.speech_judges.opinions import MOS_PREDICTORS, at_rate, dnsmos
from pipelines.plugins.speech_judges.opinions import MOS_RATE as JUDGED_RATE
from pipelines.results.run_record import frame
from pipelines.stages.listening import CLIPS, EVALUATED
from pipelines.store.store import CachedArtifact, write_json
from tests.pipelines.pages_apart import Page, report_of
from tests.pipelines.stages.test_listening import RATE, decoded
from tests.pipelines.tiny import silent_session, sweep
from tests.pipelines.tiny_chain import composed
from vocoder.kinds import ORIGINAL
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import Utterance, speak
from wordless.audio.recordings.manifest import Clips
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError

SPEECH_RATE = 22_050
VOICES = ("en-us+f1", "en+m3")
TEXTS = ("seven", "water", "Peter got two large desks.")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Waveform]:
    asked = [
        Utterance(file=f"{place}_{number}.wav", text=text, voice=name, speed=150, pitch=50)
        for number, name in enumerate(VOICES)
        for place, text in enumerate(TEXTS)
    ]
    folder = speak(asked, tmp_path_factory.mktemp("cache"), seed=0)
    return {(each.text, each.voice): read(folder / each.file, SPEECH_RATE) for each in asked}


def with_noise(sound: Waveform) -> Waveform:
    samples = sound.samples + np.random.default_rng(0).normal(0, 0.1, len(sound.samples)).astype(np.float32)
    return Waveform(samples=samples, sample_rate=sound.sample_rate)


@pytest.mark.parametrize("name", MOS_PREDICTORS)
def test_noise_has_a_lower_score(name: str, spoken: dict[tuple[str, str], Waveform]) -> None:
    pytest.importorskip(MOS_PREDICTORS[name].modules[0])
    clear, predictor = spoken[TEXTS[2], VOICES[0]], MOS_PREDICTORS[name].hear
    first, noisy, again = predictor(clear), predictor(with_noise(clear)), predictor(clear)
    assert first == again
    assert first
    assert noisy
    assert noisy[name] < first[name] - 0.2
    assert all(0.5 < value < 5.5 for value in (*first.values(), *noisy.values()))
    assert predictor(Waveform(samples=np.zeros(JUDGED_RATE, np.float32), sample_rate=JUDGED_RATE)) is None


def test_dnsmos_is_that_of_the_package(spoken: dict[tuple[str, str], Waveform]) -> None:
    package = pytest.importorskip("speechmos.dnsmos")
    found = dnsmos(at_rate(spoken[TEXTS[2], VOICES[0]]))
    expected = package.run(at_rate(spoken[TEXTS[2], VOICES[0]]), JUDGED_RATE)
    names = {"dnsmos": "p808_mos", "dnsmos_overall": "ovrl_mos", "dnsmos_voice": "sig_mos"}
    for name, key in {**names, "dnsmos_background": "bak_mos"}.items():
        assert found[name] == pytest.approx(expected[key], abs=1e-3)


NOISE = np.random.default_rng(0).normal(0, 0.1, SPEECH_RATE).astype(np.float32)
UNFIT: list[tuple[str, str, Waveform, str]] = [
    ("dnsmos", "speechmos", Waveform(samples=NOISE, sample_rate=SPEECH_RATE), "no speech"),
    ("distillmos", "distillmos", Waveform(samples=NOISE, sample_rate=SPEECH_RATE), "no speech"),
    ("dnsmos", "numpy", Waveform(samples=sweep(0.5, RATE), sample_rate=RATE), "4,000 Hz"),  # the predictor is not asked
]


@pytest.mark.parametrize(("predictor", "package"), [("dnsmos", "speechmos"), ("distillmos", "distillmos")])
def test_opinions_of_decoded_speech_stand_beside_those_of_the_recordings(
    predictor: str, package: str, tmp_path: Path
) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    asked = Utterance(file="a.wav", text="Peter got two large desks.", voice="en-us+f1", speed=150, pitch=50)
    speech = read(speak([asked], tmp_path / "cache", seed=0) / asked.file, SPEECH_RATE)
    noise = Waveform(samples=NOISE, sample_rate=SPEECH_RATE)
    judged = opinions.predict_mos(
        silent_session(tmp_path), decoded(tmp_path / "decoded", [speech, speech, noise]), predictor
    )
    assert judged.read_json(EVALUATED)["unfit"] is None
    first, second, last = (row["sounds"] for row in judged.read_rows(EVALUATED, "clips"))
    assert first["wavenet"] == first[ORIGINAL] == first["griffin_lim"] == second[ORIGINAL]
    assert second["griffin_lim"] == last[ORIGINAL]
    assert last[ORIGINAL][predictor] < first[ORIGINAL][predictor]


@pytest.mark.parametrize(("predictor", "package", "sound", "told"), UNFIT)
def test_what_a_judge_cannot_judge_has_no_figures(
    predictor: str, package: str, sound: Waveform, told: str, tmp_path: Path
) -> None:
    pytest.importorskip(package, exc_type=ImportError)
    artifact = decoded(tmp_path / "decoded", [sound])
    judged = opinions.predict_mos(silent_session(tmp_path), artifact, predictor)
    assert told in str(judged.read_json(EVALUATED)["unfit"])
    assert judged.read_rows(EVALUATED, "clips") == []


def judged_by(tmp_path: Path, predictor: str, content: object) -> CachedArtifact:
    folder = tmp_path / predictor
    folder.mkdir()
    write_json(folder / EVALUATED, content)
    return CachedArtifact(stage=f"opinions_{predictor}", key=f"key of {predictor}", place=folder, reused=False)


def test_decoded_sound_is_compared_with_the_recordings_and_shown(tmp_path: Path) -> None:
    sounds = [
        {
            "original": {"distillmos": 0.1 * number},
            "griffin_lim": {"distillmos": 0.5},
            "wavenet": {"distillmos": 0.4 + 0.1 * number} if number else {},
        }
        for number in range(4)
    ]
    rows = [{"path": f"{number}.wav", "sounds": each} for number, each in enumerate(sounds)]
    write_json(tmp_path / CLIPS, {"clips": rows})
    artifacts = {
        "decoded": CachedArtifact(stage="decoded", key="decoded", place=tmp_path, reused=False),
        "opinions_distillmos": judged_by(tmp_path, "distillmos", {"unfit": None, "clips": rows}),
        "opinions_dnsmos": judged_by(tmp_path, "dnsmos", {"unfit": "8,000 Hz", "clips": []}),
    }
    settings = run_settings(composed(tmp_path / "store"))
    section, figures = opinions.mos_rows({("", 0): artifacts}, Clips.from_rows(Path(), ()), settings)
    found = {(row.name, row.subject): row for row in figures}
    assert {row.artifact for row in figures} == {"key of distillmos"}
    wanted = {
        **{("distillmos", "original"): 0.15, ("distillmos_clips", "wavenet"): 3},
        **{
            ("distillmos_difference", f"{one} - original"): gap
            for one, gap in (("wavenet", 0.4), ("griffin_lim", 0.35))
        },
        ("distillmos_difference", "wavenet - griffin_lim"): 0.1,
    }
    assert {key: found[key].value for key in wanted} == pytest.approx(wanted)
    write_json(tmp_path / "results.json", {PLUGIN.name: section, "figures": frame(figures).to_dict("records")})
    page = Page(report_of(tmp_path).read_text()).text
    assert "No figures by dnsmos: 8,000 Hz." in page
    assert MOS_PREDICTORS["distillmos"].explanation in page
    assert re.search(r"\bDistillMOS\b[^D]{1,60}\b0\.150\b", page)  # the recordings stand last


def test_a_run_without_decoded_speech_or_packages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for module in (module for predictor in MOS_PREDICTORS.values() for module in predictor.modules):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(InputError, match="add vocoder"):
        run_settings(composed(tmp_path / "store", "stages=[tokenizer,speech_judges]"))
    with pytest.raises(InputError) as caught:
        run_settings(composed(tmp_path / "store", "stages=[tokenizer,vocoder,speech_judges]", "vocoder.fit.steps=1"))
    assert "speechmos" in str(caught.value)
    assert "wordless[judges]" in caught.value.remedy
