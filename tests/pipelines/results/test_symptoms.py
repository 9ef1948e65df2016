"""Symptoms of a run: every sign is shown beyond its bound and not by a healthy run, and its options exist."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.results.figures import Figure, Figures
from pipelines.results.run_record import Results, read_results
from pipelines.results.symptoms import SIGNS, Sign, examine_run
from pipelines.settings.run_rules import run_settings
from tests.calling import Command
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import composed
from vocoder.kinds import GRIFFIN_LIM, ORIGINAL, WAVENET


def _sound(name: str, value: float, of: str = WAVENET.key, against: str | None = None) -> Figure:
    return Figure(stage="vocoder", name=name, value=value, artifact="", of=of, against=against, split="test")


HEALTHY = (
    Figure(stage="tokenizer", name="perplexity", value=48.0, artifact="", split="validation"),
    Figure(stage="tokenizer", name="total_variation", of="noise", value=0.1, artifact="", split="validation"),
    Figure(stage="tokenizer", name="total_variation", of="gain", value=0.1, artifact="", split="validation"),
    Figure(stage="lm", name="perplexity", value=10.0, artifact="", split="validation"),
    Figure(stage="lm", name="unigram_perplexity", value=40.0, artifact="", split="validation"),
    _sound("distinct_3", 0.9, "continuation@1"),
    _sound("silence", 0.1),
    _sound("silence", 0.1, ORIGINAL),
    _sound("runaway_clips", 0.0),
    _sound("clipping", 0.0),
    _sound("periodicity_ratio", 0.95, against=ORIGINAL),
    _sound("voicing_error", 0.2),
    _sound("rms_difference", -1.0, against=ORIGINAL),
    _sound("label_accuracy", 0.9),
    _sound("label_accuracy", 0.95, GRIFFIN_LIM.key),
    _sound("label_accuracy", 1.0, ORIGINAL),
)
# sign -> the row of HEALTHY that is another, and its value
ILL = {
    "one code everywhere": (0, 2.0),
    "codes change under soft noise": (1, 0.4),
    "codes change with the level": (2, 0.4),
    "babble": (3, 39.0),
    "loops": (5, 0.1),
    "silence": (6, 0.9),
    "bursts of noise": (8, 0.1),
    "clipping": (9, 0.1),
    "buzz or whisper": (10, 0.5),
    "wrong voicing": (11, 0.6),
    "wrong level": (12, -9.0),
    "words lost by the vocoder": (13, 0.2),
    "words lost by the codes": (14, 0.5),
}


def _results(rows: tuple[Figure, ...], kept_step: int = 90) -> Results:
    training = {"curve": [], "steps": 100, "kept_step": kept_step}
    return {"figures": Figures(rows), "codebook": {"counts": [1] * 64}, "curves": {"lm": training}}  # type: ignore[typeddict-item]


def _shown(results: Results) -> list[str]:
    return [sign.name for sign, value in examine_run(results) if sign.is_shown(value)]


def test_a_healthy_run_shows_no_symptom_and_each_symptom_is_shown_by_its_figure() -> None:
    assert _shown(_results(HEALTHY)) == []
    assert [sign for sign, _ in examine_run(_results(HEALTHY))] == [*SIGNS]
    for name, (place, value) in ILL.items():
        rows = (*HEALTHY[:place], replace(HEALTHY[place], value=value), *HEALTHY[place + 1 :])
        assert _shown(_results(rows)) == [name]
    early = "the GPT has learned its recordings by heart"  # its best weights came early
    assert _shown(_results(HEALTHY, kept_step=10)) == [early]
    assert {*ILL, early} == {sign.name for sign in SIGNS}


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.name)
def test_the_options_of_a_remedy_can_be_given_to_a_run(sign: Sign, tmp_path: Path) -> None:
    run_settings(composed(tmp_path, "tokenizer.sample_patches=20000", *sign.options))


def test_the_command_examines_a_run(
    finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor = Command("doctor", monkeypatch, capsys)
    code, told, _ = doctor(f"model={finished_run.folder}")
    assert code == 0
    examined = [*examine_run(read_results(finished_run.folder))]
    assert len(examined) > 8
    for sign, value in examined:
        state = "symptom" if sign.is_shown(value) else "ok"
        assert any(line.startswith(f"{state:<8} {sign.name} ") for line in told.splitlines()), sign.name
    (tmp_path / "results.json").write_text(json.dumps({"figures": []}))
    code, _, told = doctor(f"model={tmp_path}")
    assert code != 0
    assert "model" in told
