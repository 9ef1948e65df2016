"""What is told of vocoders while they make sound."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.vocoder.sounds import SPECTROGRAM, random_table, tiny_config
from vocoder.kinds import KINDS
from vocoder.runaway import LoudnessRange
from vocoder.sampling import Sampling
from vocoder.synthesis import Trained, create_synthesis, speaking
from vocoder.vocoder import Vocoder
from vocoder.wavenet.network import create_wavenet


def test_what_a_vocoder_lacks_and_draws_again_is_told() -> None:
    model, table, told = create_wavenet(tiny_config(), seed=0), random_table(), list[str]()
    quiet = Vocoder(model, "tok-1", loudness=LoudnessRange(lowest=-110, highest=-100), engine="cuda_graph")
    with speaking([Trained(quiet, table, Sampling())], told.append):
        assert len(told) == 1
        quiet.decode(table.codes([1, 2]), table)
    assert "engine=cuda_graph" in told[0]
    assert re.search(r"blocks of sound\b.*\b1\b.*\b1\b", told[1])


def test_nothing_is_told_where_nothing_is_odd() -> None:
    table, told = random_table(), list[str]()
    vocoder = Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1", loudness=LoudnessRange(lowest=-110, highest=0))
    with speaking([Trained(vocoder, table, Sampling())], told.append):
        vocoder.decode(table.codes([1, 2]), table)
    unlearned = [create_synthesis(kind, table, Sampling()) for kind in KINDS if not kind.learned]
    with speaking(unlearned, told.append):
        pass
    assert told == []


@pytest.mark.parametrize(("option", "value"), [("remove_mean", "clip"), ("dynamic_range", 40.0)])
def test_a_front_end_that_knows_no_levels_is_told_and_not_filtered(option: str, value: object) -> None:
    table, told, model = random_table(), list[str](), create_wavenet(tiny_config(), seed=0)
    table.front_end = replace(SPECTROGRAM, **{option: value})  # type: ignore[arg-type]  # one of two options
    filtered, plain = Vocoder(model, "tok-1"), Vocoder(model, "tok-1", postfilter=0)
    codes = table.codes([1, 2, 3])
    with speaking([Trained(filtered, table, Sampling())], told.append):
        assert np.array_equal(filtered.decode(codes, table).samples, plain.decode(codes, table).samples)
    assert [line for line in told if f"audio.{option}={value}" in line] == told != []
    with speaking([Trained(plain, table, Sampling())], told.append):
        assert len(told) == 1
