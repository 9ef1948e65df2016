"""From a sound to what the page shows and plays, without a browser."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.figure import Figure

from lm.gpt import CodeSampling
from lm.probing.probe import FittedProbe, ProbeDescription, ProbeNetwork
from pipelines.jobs.speaking import ModelsOfRun
from pipelines.plugins.demo import DemoConfig
from pipelines.plugins.demo.answers import MISSING_PARTS, Analysis, DemoAnswers, mel_ticks, missing_parts, prompt_of
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny import GPT, save_run, save_tokenizer, sweep
from vocoder.kinds import GRIFFIN_LIM, SYNTHESIS_METHODS, WAVENET, SynthesisMethod
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError

LIMIT = 2.0  # seconds of a sound
CLASSES = ("one", "two", "three")


def options(model: Path, **changes: object) -> DemoConfig:
    values: dict[str, object] = {"model": model, "port": 0, "browser": False, "max_seconds": LIMIT, "device": "cpu"}
    return DemoConfig(**(values | changes))  # type: ignore[arg-type]  # a test's shorthand


def save_probe(run: Path, of: str, dim: int, *, trim_db: float | None = None) -> Path:
    """Add a probe with random weights to a run."""
    figures = {"power": 1.0, "clipping": 3.0, "answer": "one", "test_accuracy": 0.5, "chance": 0.4, "trim_db": trim_db}
    about = ProbeDescription(of=of, classes=CLASSES, dim=dim, **figures)  # type: ignore[arg-type]  # mixed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        FittedProbe(ProbeNetwork(dim, 3), about).save_pretrained(run / "probe")
    return run


def answers_of(model: Path) -> DemoAnswers:
    return DemoAnswers(ModelsOfRun.of_folder(model, sampling=options(model).sampling, device="cpu"), max_seconds=LIMIT)


@pytest.fixture(scope="module")
def answers(finished_run: FinishedRun) -> DemoAnswers:
    return answers_of(finished_run.folder)


@pytest.fixture(scope="module")
def original(finished_run: FinishedRun) -> Path:
    return finished_run.folder / "listening/0_original.wav"


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    soundfile.write(path, sweep(0.9, 4000), 4000)
    return path


def continued(answers: DemoAnswers, analysis: Analysis, **changes: object) -> list[tuple[str, Waveform | None]]:
    """Each line of progress, with the sound that comes with the last one."""
    asked: dict[str, object] = {"after": 9.0, "seconds": 1.5, "temperature": 0.9, "seed": 3, "kind": "wavenet"}
    return [*answers.continue_it(analysis, **{"voice": "", **asked, **changes})]  # type: ignore[arg-type]


# Sound -> what is shown


def test_a_sound_is_shown_with_codes_surprisal_and_the_answer_of_the_probe(
    answers: DemoAnswers, original: Path
) -> None:
    shown, models = answers.show(original), answers.models
    assert shown.codes_text() == " ".join(str(code) for code in shown.codes.values[:, 0])
    assert models.language_model is not None
    nats = -models.language_model.log_probabilities(shown.codes).sum(1)
    np.testing.assert_allclose(shown.surprisal, nats / np.log(2), rtol=1e-5)
    assert f"{len(shown.codes)} codes of 8: 150 bits per second" in shown.facts()
    assert "3.00 " in shown.facts()
    assert isinstance(shown.answers, dict)
    shares = [*shown.answers.values()]
    assert (sum(shares), shares) == (pytest.approx(1, abs=1e-5), sorted(shares, reverse=True))
    assert shown.drawing.count("<svg") == 2  # for a phone, and for a wide page


def test_one_sound_is_drawn_at_a_time(tmp_path: Path, tone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawings change settings of matplotlib that all threads share."""
    save_tokenizer(tmp_path, seed=0)
    answers, drawing, most = answers_of(tmp_path), 0, 0
    draw = Figure.savefig

    def draw_slowly(figure: Figure, *args: Any, **options: Any) -> None:
        nonlocal drawing, most
        drawing += 1
        most = max(most, drawing)
        time.sleep(0.2)  # other users' sounds are analysed meanwhile
        draw(figure, *args, **options)
        drawing -= 1

    monkeypatch.setattr(Figure, "savefig", draw_slowly)
    with ThreadPoolExecutor(3) as users:
        views = [*users.map(answers.show, [tone] * 3)]
    assert most == 1
    assert len({view.drawing for view in views}) == 1


def test_a_sound_is_heard_as_recorded_and_of_each_kind(answers: DemoAnswers, original: Path) -> None:
    analysis = answers.show(original)
    heard = [*answers.hear(analysis, "")]
    assert [len(sounds) for sounds in heard] == [*range(1, 2 + len(SYNTHESIS_METHODS))]  # one more each time
    recording, *decoded = heard[-1]
    np.testing.assert_array_equal(recording.samples, soundfile.read(original, dtype="float32")[0])
    for kind, sound in zip(answers.models.kinds, decoded, strict=True):
        (own,) = answers.models.synthesis(kind).sounds([analysis.codes.finest], [None], names=["sound"])
        assert own.sample_rate == sound.sample_rate == recording.sample_rate
        np.testing.assert_array_equal(own.samples, sound.samples)
        assert sound.samples.any()


@pytest.mark.parametrize(
    ("name", "seconds", "level", "problem"),
    [
        ("short.wav", 0.001, 0.5, r"\b0\.001 s\b.*\b0\.020 s\b"),
        ("long.wav", LIMIT + 1, 0.5, r"long\.wav\b.*\b2 s\b"),
        ("silent.wav", 1.0, 0.0, r"silent\.wav\b.*\bsilent\b.*\b0\.0001\b"),
        ("broken.wav", 0.0, 0.0, r"^broken\.wav "),
    ],
)
def test_a_sound_that_cannot_be_used_is_refused_in_a_line(
    answers: DemoAnswers, tmp_path: Path, name: str, seconds: float, level: float, problem: str
) -> None:
    soundfile.write(tmp_path / name, np.full(round(8000 * seconds), level), 8000)
    if name == "broken.wav":
        (tmp_path / name).write_bytes(b"RIFF\0\0\0\0WAVEnothing")
    with pytest.raises(InputError, match=problem) as refused:
        answers.show(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


# Continuations


@pytest.mark.parametrize("kind", [WAVENET, GRIFFIN_LIM])
def test_pieces_are_the_sound_that_generate_makes(answers: DemoAnswers, original: Path, kind: SynthesisMethod) -> None:
    analysis, models = answers.show(original), answers.models
    pages = continued(answers, analysis, kind=kind.key)
    assert (len(pages) > 3) == kind.learned  # its pieces are made while codes are generated
    assert [sound for _, sound in pages[:-1]] == [None] * (len(pages) - 1)
    whole = pages[-1][1]
    assert whole is not None
    assert whole.sample_rate == analysis.waveform.sample_rate

    prompt = prompt_of(analysis, 9, models.tokenizer)
    assert models.language_model is not None
    sampling = CodeSampling(temperature=0.9, top_k=50)
    codes = models.language_model.generate_batch([prompt.codes], seconds=1.5, sampling=sampling, seed=3)
    (sound,) = models.synthesis(kind, seed=3).sounds(codes, [None], names=["sample_0.wav"], prompts=[prompt])
    start = len(prompt.waveform.samples)
    np.testing.assert_array_equal(whole.samples[start:], sound.samples)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"seconds": 0.0}, r"seconds\b.*\b0\.0\b"),
        ({"temperature": -1.0}, r"temperature\b.*-1\b"),
        ({"seed": -1}, r"seed\b.*-1\b"),
        ({"after": 0.0}, r"\bprompt\b.*\bone code\b"),
    ],
)
def test_a_wrong_request_is_refused_in_a_line(
    answers: DemoAnswers, original: Path, changes: dict[str, object], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        continued(answers, answers.show(original), **changes)


# Runs that lack a part


def test_a_run_with_a_tokenizer_alone_offers_what_codes_need(tmp_path: Path, tone: Path) -> None:
    save_tokenizer(tmp_path, seed=0)
    answers = answers_of(tmp_path)
    assert answers.models.kinds == tuple(kind for kind in SYNTHESIS_METHODS if not kind.learned)
    assert len(missing_parts(answers.models)) == 3
    analysis = answers.show(tone)
    assert (analysis.answers, analysis.surprisal) == (None, None)
    assert analysis.facts().endswith("bits per second.")
    *_, heard = answers.hear(analysis, "")
    assert len(heard) == len(SYNTHESIS_METHODS)


def test_a_probe_of_states_names_no_label_without_a_language_model(tmp_path: Path, tone: Path) -> None:
    run = save_probe(save_run(tmp_path, seed=0), "gpt/layer_1:mean", GPT.model_dim)
    whole = answers_of(run)
    assert missing_parts(whole.models) == []
    assert whole.show(tone).answers is not None
    (run / "lm").rename(tmp_path / "elsewhere")
    answers = answers_of(run)
    assert missing_parts(answers.models) == [MISSING_PARTS["lm"], MISSING_PARTS["probe"]]
    assert answers.show(tone).answers is None


def test_a_probe_reads_sounds_without_silent_ends_if_it_was_fitted_so(tmp_path: Path) -> None:
    """The sound is trimmed at its own rate, before it is resampled, as the clips of a corpus are."""
    rate, rng = 10_000, np.random.default_rng(0)
    sound = np.concatenate([rng.normal(0, 1e-3, 6000), sweep(0.8, rate), rng.normal(0, 1e-3, 4000)])  # whole blocks
    soundfile.write(tmp_path / "whole.wav", sound, rate)
    soundfile.write(tmp_path / "sweep.wav", sound[6000:-4000], rate)
    run = save_probe(save_run(tmp_path / "run", seed=0), "gpt/layer_1:mean", GPT.model_dim, trim_db=25)
    trimming = answers_of(run)
    plain = answers_of(save_probe(run, "gpt/layer_1:mean", GPT.model_dim))
    wanted = plain.show(tmp_path / "sweep.wav").answers
    assert trimming.show(tmp_path / "whole.wav").answers == wanted
    assert plain.show(tmp_path / "whole.wav").answers != wanted
    whole = trimming.show(tmp_path / "whole.wav")
    assert whole.waveform.seconds == pytest.approx(1.8, abs=0.001)  # the rest of the page has the whole sound
    np.testing.assert_array_equal(whole.codes.values, plain.show(tmp_path / "whole.wav").codes.values)


def test_ticks_in_khz_lie_in_the_band_whose_filter_passes_them() -> None:
    audio = SpectrogramConfig(sample_rate=16_000, n_mels=80)
    filters = audio.mel_filters().numpy()  # (bins, mels)
    ticks = mel_ticks(audio)
    assert [*ticks.values()] == ["0.5", "1", "2", "4"]
    for place, name in ticks.items():
        centre = filters[round(float(name) * 1000 * 2 * (len(filters) - 1) / 16_000)]
        assert abs(place - (centre @ (np.arange(80) + 0.5) / centre.sum())) < 1
