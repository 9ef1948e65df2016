"""The language models of several rates in a run: trained, killed and resumed, and trained by two processes."""

import json
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lm.model import LanguageModel
from pipelines.hear import load_model
from pipelines.jobs.probe import probe_run
from pipelines.results.run_record import read_results
from pipelines.settings.run import run_settings
from tests.killing import Kill
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import CHECKPOINTS, STEPS, composed, config_of, run, stored
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.base.errors import InputError

RATES = ("tokenizer.rates=[8,2]", "lm.gpt.layers=3", "lm.views.warps=1")
LAYERS = ("all_layers", "layer_1", "layer_2")
TRAINED = (*RATES, "stages=[lm]", *CHECKPOINTS)


@dataclass(frozen=True, kw_only=True)
class Place:
    store: Path
    folder: Path


@pytest.fixture(scope="module")
def trained(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run of two rates, in a store that has one of a single rate."""
    place = tmp_path_factory.mktemp("rates")
    store = shutil.copytree(finished_run.store, place / "store")
    assert run(store, place / "run", *TRAINED) == 0
    return Place(store=store, folder=place / "run")


def test_a_gpt_of_the_coarsest_rate_and_an_upsampler(trained: Place) -> None:
    model = LanguageModel.from_pretrained(trained.folder / "lm")
    tokenizer = Tokenizer.from_pretrained(trained.folder / "tokenizer")
    assert model.format == tokenizer.format
    assert [each.gpt.config.layers for each in model.rates] == [2, 1]
    assert [each.gpt.conditions is None for each in model.rates] == [True, False]
    made = Counter(path.split("/")[0] for path in stored(trained.store) if path.endswith("entry.json"))
    assert {stage: made[stage] for stage in ("lm", "upsampler", "rate_lm", "views")} == {
        "lm": 2,  # the other is the finished run's
        "upsampler": 1,
        "rate_lm": 1,
        "views": 3,
    }


def test_views_of_all_rates_are_of_the_same_sound(trained: Place) -> None:
    tokenizer = Tokenizer.from_pretrained(trained.folder / "tokenizer")
    by_format = {}
    for path in trained.store.glob("views/*/"):
        codes_format, clips = read_codes(path)
        by_format.setdefault(codes_format.codebook, []).append(list(clips))
    coarse, fine = (by_format[each.format.codebook] for each in tokenizer.rates)
    (coarse_clips,), fine_clips = coarse, max(fine, key=len)
    for one, other in zip(coarse_clips, fine_clips, strict=True):
        assert (one.name, one.offset_frames, one.codes.num_samples) == (
            other.name,
            other.offset_frames,
            other.codes.num_samples,
        )
    assert {clip.offset_frames for clip in coarse_clips} == set(range(1, 8)) | {
        clip.offset_frames for clip in coarse_clips if clip.offset_frames < 8
    }


@pytest.mark.slow
def test_killed_and_resumed_is_never_killed(trained: Place, finished_run: FinishedRun, tmp_path: Path) -> None:
    store = shutil.copytree(finished_run.store, tmp_path / "store")
    for number, kill in enumerate(
        (
            Kill(path="upsampler/*.checkpoints/fit.safetensors", count=STEPS - 2),
            Kill(path="upsampler/*.partial/perplexity.json.aside"),
            Kill(path="rate_lm/*.partial/rate_2/config.json"),
        )
    ):
        assert run(store, tmp_path / str(number), *TRAINED, kill=kill) == -signal.SIGKILL, kill
    assert run(store, tmp_path / "last", *TRAINED) == 0
    assert stored(store) == stored(trained.store)


def test_each_rate_is_probed(trained: Place, tmp_path: Path) -> None:
    store = shutil.copytree(trained.store, tmp_path / "store")
    methods = [f"{kind}_of_rate_{number}" for kind in ("bag", "gpt") for number in (1, 2)]
    words = (
        "stages=[probe]",
        f"compare.methods=[{','.join(methods)}]",
        "compare.hearings=2",
        "probe.learning_curve=[]",
    )
    assert run(store, tmp_path / "run", *RATES, *words) == 0
    found = read_results(tmp_path / "run")["comparison"]
    assert sorted(found.methods) == methods
    assert sorted(found.layers("gpt_of_rate_1")) == sorted(LAYERS)
    made = Counter(path.split("/")[0] for path in stored(store) if path.endswith("entry.json"))
    assert (made["heard_codes"], made["upsampler"]) == (2, 1)


def test_a_finished_run_is_probed_at_each_rate(trained: Place, tmp_path: Path) -> None:
    place = [f"model={trained.folder}", f"store.root={tmp_path / 'store'}", f"output={tmp_path / 'probe.json'}"]
    corpus = ["embedded.voices=5", "embedded.words=2", "embedded.takes=2"]
    probing = ["probe.resamples=10", "probe.learning_curve=[]", "device=cpu", "workers=1"]
    probe_run(config_of("probe", *place, *corpus, *probing))
    rows = json.loads((tmp_path / "probe.json").read_text())["methods"]
    known = {"log_mel", "bottleneck", *(f"{kind}_of_rate_{number}" for kind in ("bag", "gpt") for number in (1, 2))}
    assert {row["of"] for row in rows} == known
    with pytest.raises(InputError, match="HEAR"):
        load_model(str(trained.folder))


@torch.no_grad()
def test_the_models_work_from_the_run_folder(trained: Place) -> None:
    tokenizer = Tokenizer.from_pretrained(trained.folder / "tokenizer")
    codes = tokenizer.encode_file(next((trained.store / "embedded").rglob("*.wav")))
    more = LanguageModel.from_pretrained(trained.folder / "lm").generate(codes, seconds=0.2)
    assert [len(part.values) for part in more.by_rate] == [3, 10]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lm.gpt.layers=2"], r"lm\.gpt\.layers\b.*\b2\b.*\b3 rates\b"),
        (["lm.gpt.layers=3", "lm.look_ahead=-1"], r"lm\.look_ahead\b.*-1\b.*\b0\b"),
    ],
)
def test_models_that_there_cannot_be_are_refused(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        run_settings(composed(tmp_path, "tokenizer.rates=[8,4,2]", *words))


def test_layers_are_divided_among_the_rates(tmp_path: Path) -> None:
    settings = run_settings(composed(tmp_path, "tokenizer.rates=[8,4,2]", "lm.gpt.layers=5")).lm
    assert [each.gpt.layers for each in settings.divided(3)] == [2, 2, 1]
    assert settings.divided(1) == (settings,)
