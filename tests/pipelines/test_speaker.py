"""What is told of a vocoder while it speaks."""

from pipelines.speaker import speaking
from tests.vocoder.sounds import random_table, tiny_config
from vocoder.runaway import LoudnessRange
from vocoder.vocoder import Vocoder
from vocoder.wavenet import create_wavenet


def test_what_a_vocoder_lacks_and_draws_again_is_told() -> None:
    model, table, told = create_wavenet(tiny_config(), seed=0), random_table(), list[str]()
    quiet = Vocoder(model, "tok-1", loudness=LoudnessRange(lowest=-110, highest=-100), engine="cuda_graph")
    with speaking(quiet, told.append):
        assert len(told) == 1
        quiet.decode(table.codes([1, 2]), table)
    assert "engine=cuda_graph needs a GPU" in told[0]
    assert "blocks of sound that ran away or fell silent: 1; 1 stayed so" in told[1]


def test_nothing_is_told_where_nothing_is_odd() -> None:
    table, told = random_table(), list[str]()
    vocoder = Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1", loudness=LoudnessRange(lowest=-110, highest=0))
    with speaking(vocoder, told.append):
        vocoder.decode(table.codes([1, 2]), table)
    with speaking(None, told.append):
        pass
    assert told == []
