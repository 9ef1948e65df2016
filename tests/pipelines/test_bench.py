"""``wordless bench`` and the benchmarks: that they measure, and what a device is sent."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torch.fx.experimental import _config as fx_config

from lm.bodies.convolutional import create_encoder
from lm.bodies.options import ConvEncoderConfig
from lm.generation import Sampling, continue_codes
from lm.gpt import create_gpt
from lm.layers import HearingPieces, embed, pool_layers
from lm.model import LanguageModel
from lm.options import POOLINGS, GPTConfig
from lm.tokens import Vocabulary
from pipelines.bench import bench
from pipelines.benchmarks import vocoder
from pipelines.benchmarks.find import FEATURES, Joined, average_precision
from pipelines.benchmarks.measurement import CODEBOOK_SIZE, random_tokenizer
from pipelines.benchmarks.memory import measure_memory
from pipelines.benchmarks.steps import CPU, META, Placement, PlacementError, count_compiled, count_step
from pipelines.benchmarks.trainings import TRAININGS
from pipelines.benchmarks.vocoder import device_of, engines_here, measure
from tests.hostile.measured import at_most_seconds
from tests.pipelines.tiny import sweep
from tests.tokenizer.speech import speech_tokenizer
from tests.vocoder.sounds import tiny_config
from tokenizer.codes import Codes
from vocoder.engines import numba_streams
from vocoder.wavenet import create_wavenet
from wordless.audio.matching import Match
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
    of_gpu = ["triton"] if find_spec("triton") else []
    assert engines_here(gpu=True) == ["torch", "numba", *of_gpu]
    assert [device_of(engine) for engine in engines_here(gpu=True)] == ["cpu", "cpu", *("cuda" for _ in of_gpu)]
    monkeypatch.setattr(numba_streams, "numba_multiplies_bf16", lambda: True)
    assert engines_here(gpu=True) == ["torch", "numba", "numba_bf16", *of_gpu]
    with pytest.raises(InputError, match=r"triton\b.*\bcpu\b.*\bnumba"):
        measure(create_wavenet(tiny_config(), seed=0), "triton", 1, 1)


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


def hit(frame: int, cost: float) -> Match:
    return Match(start=frame, stop=frame + 2, cost=cost)


def test_average_precision_by_hand() -> None:
    ends = np.array([100, 200, 300, 400])  # words of ten frames
    one = Joined(samples=np.zeros(400, np.float32), ends=ends, labels=("cat", "dog", "cat", "dog"))
    other = Joined(samples=np.zeros(400, np.float32), ends=ends, labels=("dog", "dog", "dog", "cat"))
    found = [(one, [hit(24, 0.1), hit(26, 0.3), hit(14, 0.4)]), (other, [hit(4, 0.2), hit(33, 0.5)])]
    # right, wrong, the same word again, wrong, right; one of three words is not found
    assert average_precision("cat", found, 10) == pytest.approx((1 / 1 + 2 / 5) / 3)
    assert average_precision("bird", found, 10) == 0


def words(place: Path) -> Path:
    lines = ["path\tlabel\tgroup\tsplit"]
    for person in range(3):
        for number, label in enumerate(("low", "high")):
            soundfile.write(
                place / f"{label}{person}.wav", sweep(0.3 + 0.05 * person, 4000, low=150 + 400 * number), 4000
            )
            lines.append(f"{label}{person}.wav\t{label}\tp{person}\ttest")
    (place / "words.tsv").write_text("\n".join(lines) + "\n")
    return place / "words.tsv"


@pytest.mark.slow
def test_all_features_are_measured_on_other_people(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, output = words(tmp_path), tmp_path / "find.json"
    bench({"what": "find", "model": str(run_folder), "input": str(table), "output": str(output)})
    measured = json.loads(output.read_text())
    assert [row["features"] for row in measured["find"]] == [*FEATURES]
    of = {row["features"]: row["by_person"] for row in measured["find"]}
    assert all(len(each) == 3 and 0 <= min(each) <= max(each) <= 1 for each in of.values())
    assert np.mean(of["log_mel"]) > 0.9
    assert "mean average precision" in capsys.readouterr().out


def test_wrong_tables_are_refused(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^what=find\b.*input="):
        bench({"what": "find", "model": str(run_folder), "input": str(tmp_path / "none.tsv")})
    table = words(tmp_path)
    given = {"what": "find", "model": str(run_folder), "input": str(table)}
    with pytest.raises(InputError, match=r"^split=train\b"):
        bench({**given, "split": "train"})
    table.write_text("path\tlabel\n")
    with pytest.raises(InputError, match=r"^input=.*\bgroup, split\b"):
        bench(given)


TOKENIZER = random_tokenizer().to(META)
GENERATED = 5
RATE = 16_000


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    vocabulary = Vocabulary(per_stream=CODEBOOK_SIZE, streams=1)
    gpt = create_gpt(GPTConfig(context=256, model_dim=16, layers=2, heads=2, ffn_dim=16), vocabulary, seed=0)
    return LanguageModel(gpt.eval().to(META), TOKENIZER.format)


def waits_of(work: Callable[[], object]) -> int:
    with fx_config.patch(meta_nonzero_assume_all_nonzero=True), Placement() as placement:  # type: ignore[attr-defined]
        work()
    return placement.waits


def codes_of(steps: int) -> Codes:
    samples = steps * TOKENIZER.format.samples_per_code
    return Codes(values=np.zeros((steps, 1), np.int32), num_samples=samples, format=TOKENIZER.format)


def test_encoding_waits_once_for_a_recording_or_a_batch() -> None:
    sound = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    assert waits_of(lambda: TOKENIZER.encode(sound, RATE)) == 1
    sounds = [np.zeros(length, np.float32) for length in (RATE, 3 * RATE, RATE // 2)]
    assert waits_of(lambda: TOKENIZER.encode_batch(sounds, RATE)) == 1


def test_features_and_perplexities_of_the_gpt_wait_once(model: LanguageModel) -> None:
    assert waits_of(lambda: embed(model, [codes_of(steps) for steps in (20, 30, 40)])) == 1
    assert waits_of(lambda: model.nats_per_code([codes_of(steps) for steps in (20, 30, 40)])) == 1


@pytest.mark.parametrize(
    ("sampling", "waits"), [(Sampling(top_k=5, top_p=0.9), 1), (Sampling(max_repeats=3), GENERATED)]
)
def test_generation_waits_once_and_the_guard_against_loops_for_each_code(
    model: LanguageModel, sampling: Sampling, waits: int
) -> None:
    prompt = np.zeros((0, 1), np.int32)
    assert waits_of(lambda: continue_codes(model.gpt, [prompt], steps=GENERATED, sampling=sampling, seed=0)) == waits


@torch.inference_mode()
def test_features_of_an_encoder_wait_once_for_a_block() -> None:
    encoder = create_encoder(ConvEncoderConfig(), seed=0).eval().to(META)
    heard = [
        HearingPieces(steps=[frames] * len(encoder.hops), pieces=[torch.zeros(frames, 80)]) for frames in (100, 80)
    ]
    names = [f"block_{number}" for number in range(len(encoder.hops))]
    work = lambda: pool_layers(encoder, heard, names, POOLINGS, device="meta")  # noqa: E731
    assert waits_of(work) == len(encoder.hops)


QUICK = ("autoencoder", "gpt", "simclr", "supervised", "gpt_sound")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in TRAININGS]
)
def test_a_step_keeps_its_bounds_and_its_tensors_on_one_device(name: str) -> None:
    kind = TRAININGS[name]
    counts = count_step(kind)
    assert counts.kernels <= kind.most_kernels
    assert counts.waits <= kind.waits
    assert counts.copies_to_host == 1  # the loss and its items


@pytest.mark.slow  # compiles for a minute
def test_a_compiled_step_of_the_gpt_has_a_third_of_the_operators() -> None:
    operators, kernels = count_compiled(TRAININGS["gpt"])
    plain = count_step(TRAININGS["gpt"])
    assert operators <= plain.operators / 3
    assert kernels <= plain.kernels / 2


def test_devices_are_not_mixed() -> None:
    there, here = torch.ones(2, 2, device=META), torch.ones(2, 2)
    with Placement():
        assert (there * torch.tensor(2.0)).is_meta  # a GPU takes a single number of the host
        for work in (
            lambda: there @ here,
            lambda: there[torch.tensor([0, 1])],
            lambda: nn.functional.linear(here, there),
        ):
            with pytest.raises(PlacementError):
                work()


def test_waits_and_copies_are_counted() -> None:
    there = torch.ones(2, 2, device=META)
    with Placement() as found:
        torch.ones(3).to(META, non_blocking=True)
        there.to(CPU, non_blocking=True)
    assert (found.waits, found.copies_to_device, found.copies_to_host, found.bytes_to_device) == (0, 1, 1, 12)
    for work in (lambda: float(there.sum()), lambda: torch.ones(3).to(META), there.cpu, there.tolist):
        with Placement() as found:
            work()
        assert found.waits >= 1
