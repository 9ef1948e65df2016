"""The whole chain with two residual levels: what passes between its stages, and what it shares with a run of one."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from lm.model import LanguageModel
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import run
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import GRIFFIN_LIM
from vocoder.sampling import Sampling
from vocoder.synthesis import create_synthesis
from vocoder.vocoder import Vocoder
from wordless.audio.reading import read

STAGES = ("sample", "autoencoder", "tokenizer", "codes", "health")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run of two levels lies, in a store that has one of a single level."""

    store: Path
    folder: Path


@pytest.fixture(scope="module")
def layered(whole_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = tmp_path_factory.mktemp("levels")
    store = shutil.copytree(whole_store, place / "store")
    assert run(store, place / "run", "tokenizer.levels=2") == 0
    return Place(store=store, folder=place / "run")


def test_sample_and_autoencoder_are_shared(layered: Place) -> None:
    counts = {stage: len(list((layered.store / stage).glob("*/entry.json"))) for stage in STAGES}
    assert counts == {"sample": 1, "autoencoder": 1, "tokenizer": 2, "codes": 2, "health": 2}


def test_the_coarse_level_is_the_codebook_of_one_level(layered: Place, finished_run: FinishedRun) -> None:
    runs = (layered.folder, finished_run.folder)
    two, one = (Tokenizer.from_pretrained(folder / "tokenizer") for folder in runs)
    assert (len(two.codebooks), len(one.codebooks)) == (2, 1)
    assert torch.equal(two.codebooks[0], one.codebooks[0])
    assert two.format.tokenizer == one.format.tokenizer


def test_codes_have_a_stream_for_each_level(layered: Place) -> None:
    (folder,) = (path for path in layered.store.glob("codes/*/") if read_codes(path)[0].streams == 2)
    tokenizer = Tokenizer.from_pretrained(layered.folder / "tokenizer")
    codes_format, clips = read_codes(folder)
    assert codes_format == tokenizer.format
    (root,) = layered.store.glob("embedded/embedded-*/")
    clip = next(clips)
    assert np.array_equal(tokenizer.encode_file(root / clip.path).values, clip.codes.values)


def test_the_models_work_from_the_run_folder(layered: Place) -> None:
    samples = read(next((layered.store / "embedded").rglob("*.wav")), 22_050)
    tokenizer = Tokenizer.from_pretrained(layered.folder / "tokenizer")
    codes = tokenizer.encode(samples.samples, samples.sample_rate)
    more = LanguageModel.from_pretrained(layered.folder / "lm").generate(codes, seconds=0.1)
    assert more.values.shape[1] == 2
    sound = Vocoder.from_pretrained(layered.folder / "vocoder").decode(more, tokenizer)
    for made in (sound, *create_synthesis(GRIFFIN_LIM, tokenizer, Sampling()).sounds([more], [None], names=["more"])):
        assert len(made.samples) == more.num_samples == 800
        assert np.isfinite(made.samples).all()
