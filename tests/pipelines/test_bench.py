"""``wordless bench``: that it measures, not how fast this machine is."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipelines.bench import bench
from pipelines.benchmarks import vocoder
from pipelines.benchmarks.memory import measure_memory
from pipelines.benchmarks.vocoder import device_of, engines_here, measure
from tests.hostile.special_files import at_most_seconds
from tests.tokenizer.speech import speech_tokenizer
from tests.vocoder.sounds import tiny_config
from vocoder.engines import numba_streams
from vocoder.wavenet.network import create_wavenet
from wordless.base.errors import InputError


def options(**others: object) -> dict[str, object]:
    small = {"seconds": 4.0, "hours": 0.02, "clips": [1], "repeats": 1, "points": [0.001], "codes": 8, "iterations": 2}
    return {**small, **others}


def test_speed_is_split_into_parts_beside_the_bare_libraries(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench(options(model=str(run_folder), input=str(recordings), output=str(tmp_path / "new/bench.json")))
    rows = json.loads((tmp_path / "new/bench.json").read_text())["encode"]
    assert [row["source"] for row in rows] == ["16 kHz WAV", "44.1 kHz Ogg Vorbis", str(recordings)]
    for row in rows:
        assert set(row["parts"]) == {"reading", "resampling", "mel", "network", "codebook search"}
        assert set(row["bare"]) == {"reading", "resampling", "mel"}
        assert row["times_real_time"] == pytest.approx(row["sound_seconds"] / row["total"]["seconds"])
    assert "times real time" in capsys.readouterr().out


def test_codes_of_a_speech_model_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    speech_tokenizer(tmp_path / "weights").save_pretrained(tmp_path / "run/tokenizer")
    with at_most_seconds(10), pytest.raises(InputError, match=r"model=.*run: .*speech model\b.*autoencoder"):
        bench(options(model=str(tmp_path / "run"), seconds=3_000.0))


def test_k_means_is_measured_beside_bare_faiss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "kmeans.json"
    bench(options(what="kmeans", points=[0.002], output=str(output)))
    (row,) = json.loads(output.read_text())["kmeans"]
    assert row["points"] == 2000
    assert row["ratio"] == pytest.approx(row["own"]["cpu_seconds"] / row["bare"]["cpu_seconds"])
    assert "bare FAISS" in capsys.readouterr().out


@pytest.mark.slow
def test_ten_hours_take_little_more_memory_than_a_minute() -> None:
    measured = measure_memory(None, hours=10.0)
    assert measured["within"], measured  # the samples alone are 2.3 GB, and an hour is decoded


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocoder, "SECONDS_EACH", 0.01)
    monkeypatch.setattr(vocoder, "PEER_STEPS", 3)


@pytest.mark.usefixtures("quick")
def test_every_engine_is_measured_beside_the_machine(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new/vocoder.json"
    bench(options(what="vocoder", clips=[1, 6], model=str(run_folder), output=str(output)))
    measured = json.loads(output.read_text())["vocoder"]
    assert measured["config"]["sample_rate"] == 4000
    rates = {(row["engine"], row["clips"], row["cores"]): row for row in measured["rates"]}
    assert {("torch", 1, 1), ("torch", 6, 1), ("numba", 1, 1), ("numba", 6, 1)} <= set(rates)
    for row in rates.values():
        assert row["times_real_time"] == pytest.approx(row["samples_per_second"] / 4000)
    alone = rates["numba", 1, 1]["samples_per_second"] / rates["torch", 1, 1]["samples_per_second"]
    assert measured["ratios"]["numba over torch"] == pytest.approx(alone)
    assert "codes to sound" in capsys.readouterr().out


def test_each_engine_is_measured_where_it_runs_and_none_stands_in_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_streams, "numba_multiplies_bf16", lambda: False)
    assert engines_here(gpu=False) == ["torch", "numba"]
    of_gpu = ["cuda_graph", *(["triton", "triton_fp16"] if find_spec("triton") else [])]
    assert engines_here(gpu=True) == ["torch", "numba", *of_gpu]
    assert [device_of(engine) for engine in engines_here(gpu=True)] == ["cpu", "cpu", *("cuda" for _ in of_gpu)]
    monkeypatch.setattr(numba_streams, "numba_multiplies_bf16", lambda: True)
    assert engines_here(gpu=True) == ["torch", "numba", "numba_bf16", *of_gpu]
    with pytest.raises(InputError, match=r"cuda_graph\b.*\bcpu\b.*\bnumba"):
        measure(create_wavenet(tiny_config(), seed=0), "cuda_graph", 1, 1)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seconds": 0.0}, r"seconds\b.*\b0\b"),
        ({"points": [1.0, 1e-6]}, r"points\b.*\[1, 1e-06\].*\b8e-06\b"),
        ({"what": "vocoder", "model": "nowhere"}, r"model=nowhere\b"),
        ({"model": "nowhere"}, r"model=nowhere\b"),
        ({"input": "nowhere"}, r"input is nowhere\b"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        bench(options(**changed))
