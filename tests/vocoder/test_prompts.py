"""Sound that goes on from a recording."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.vocoder.sounds import (
    SAMPLES_PER_CODE,
    SPECTROGRAM,
    Table,
    in_context,
    lively,
    random_table,
    tiny_config,
    voice_head,
)
from tokenizer.codes import Codes
from vocoder.filters import REMEMBERED, PitchComb
from vocoder.kinds import GRIFFIN_LIM, WAVENET, SynthesisMethod
from vocoder.synthesis import SignalProcessingBaseline, Synthesis
from vocoder.vocoder import Prompt, Vocoder, joined_sound
from vocoder.vocoder_options import Sampling
from wordless.audio.levels import Excerpt
from wordless.audio.waveform import Waveform
from wordless.base.seeds import sound_seed

RATE = 8000
VALUES = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]


@pytest.fixture(scope="module", params=["alone", "in context"])
def own(request: pytest.FixtureRequest) -> tuple[Vocoder, Table]:
    """A vocoder, and codes that are decoded alone, or in context."""
    table = random_table()
    return Vocoder(lively(tiny_config()), "tok-1"), table if request.param == "alone" else in_context(table)


def prompt_of(table: Table, steps: int) -> Prompt:
    """A tone, and codes that stand for it."""
    samples = 0.3 * np.sin(2 * np.pi * 200 * np.arange(steps * SAMPLES_PER_CODE) / RATE)
    return Prompt(
        waveform=Waveform(samples=samples.astype(np.float32), sample_rate=RATE), codes=table.codes(VALUES[:steps])
    )


def test_only_the_end_of_a_long_prompt_is_heard_and_nothing_changes(own: tuple[Vocoder, Table]) -> None:
    vocoder, table = own
    prompt, more = prompt_of(table, 10), table.codes([7, 8])
    [heard] = Synthesis(vocoder, table, Sampling(temperature=0)).sounds([more], [None], names=["a"], prompts=[prompt])
    whole = vocoder.continue_from(prompt.waveform, table.codes([*VALUES, 7, 8]), table, temperature=0)
    np.testing.assert_array_equal(heard.samples, whole.samples)
    synthesis = Synthesis(vocoder, table, Sampling(seed=3))
    alone, _ = synthesis.sounds([more, more], [None, None], names=["b", "c"], prompts=[None, prompt])
    np.testing.assert_array_equal(alone.samples, vocoder.decode(more, table, seed=sound_seed(3, "b")).samples)
    joined = joined_sound(prompt.waveform, heard).samples
    np.testing.assert_array_equal(joined, np.concatenate([prompt.waveform.samples, heard.samples]))
    assert len(prompt.crop(7, 10).waveform.samples) == 3 * SAMPLES_PER_CODE
    assert prompt.crop(7, 10).codes.values.tolist() == prompt.codes.values[-3:].tolist()


@pytest.mark.parametrize("length", [150, 289, 305, 611, 614, 618, 622])
def test_a_prompt_of_many_codes_sounds_as_the_whole(own: tuple[Vocoder, Table], length: int) -> None:
    """The network reads the last blocks of such prompts, and the comb those of the last 500 frames."""
    plain, table = own
    vocoder = Vocoder(plain.model, "tok-1", voice=voice_head(7.2, seed=0))
    draw = np.random.default_rng(length)
    values, more = draw.integers(0, 12, length).tolist(), draw.integers(0, 12, 8).tolist()
    hertz = np.repeat(draw.uniform(90, 300, length), SAMPLES_PER_CODE)
    samples = 0.3 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE) + draw.normal(0, 0.03, len(hertz))
    prompt = Prompt(waveform=Waveform(samples=samples.astype(np.float32), sample_rate=RATE), codes=table.codes(values))
    synthesis = Synthesis(vocoder, table, Sampling(temperature=0))
    [heard] = synthesis.sounds([table.codes(more)], [None], names=["a"], prompts=[prompt])
    whole = vocoder.continue_from(prompt.waveform, table.codes(values + more), table, temperature=0)
    np.testing.assert_allclose(heard.samples, whole.samples, rtol=0, atol=1e-6)
    blocks = [table.codes([value]) for value in more]
    pieces = [piece.samples for piece in synthesis.continued(prompt, blocks, None, name="a")]
    np.testing.assert_array_equal(np.concatenate(pieces), heard.samples)


@pytest.mark.parametrize("length", [2, 5, 10])
def test_the_comb_reads_the_whole_prompt(own: tuple[Vocoder, Table], length: int) -> None:
    """Its path of periods and its running mean go on, although the network reads only the end."""
    plain, table = own
    vocoder = Vocoder(plain.model, "tok-1", voice=voice_head(7.2, seed=0))
    prompt, more = prompt_of(table, length), table.codes([10, 11, 3, 4, 0, 1] * 3)
    synthesis = Synthesis(vocoder, table, Sampling(temperature=0))
    joined = table.codes([*prompt.codes.values[:, 0].tolist(), *more.values[:, 0].tolist()])
    whole = vocoder.continue_from(prompt.waveform, joined, table, temperature=0)
    [heard] = synthesis.sounds([more], [None], names=["a"], prompts=[prompt])
    np.testing.assert_array_equal(heard.samples, whole.samples)
    blocks = [table.codes([value]) for value in more.values[:, 0].tolist()]
    pieces = [piece.samples for piece in synthesis.continued(prompt, blocks, None, name="a")]
    np.testing.assert_array_equal(np.concatenate(pieces), heard.samples)
    unvoiced = plain.continue_from(prompt.waveform, joined, table, temperature=0)
    assert not np.allclose(unvoiced.samples, whole.samples, atol=1e-3)


def test_what_a_comb_has_forgotten_makes_no_difference() -> None:
    """Frames before the last ones of a long recording do not change the pitch."""
    frames, hop = REMEMBERED + 80, SPECTROGRAM.hop_length
    draw = np.random.default_rng(1)
    samples = torch.from_numpy(draw.normal(0, 0.1, frames * hop).astype(np.float32))
    log_mel = torch.from_numpy(draw.normal(-4, 2, (frames, SPECTROGRAM.n_mels)).astype(np.float32))
    made = []
    for first in (0, 40):  # of the frames before the last 40
        comb = PitchComb(SPECTROGRAM, voice_head(7.2, seed=2))
        comb.hear(samples[first * hop : -40 * hop], log_mel[first:-40])
        comb.expect(log_mel[-40:])
        made.append(comb.filter(samples[-40 * hop :]).numpy())
    np.testing.assert_allclose(made[0], made[1], atol=1e-3)


@pytest.mark.parametrize("kind", [WAVENET, GRIFFIN_LIM])
def test_codes_that_arrive_one_by_one_sound_as_all_at_once(own: tuple[Vocoder, Table], kind: SynthesisMethod) -> None:
    vocoder, table = own
    sampling = Sampling(seed=3)
    synthesis = Synthesis(vocoder if kind.learned else SignalProcessingBaseline(kind), table, sampling)
    prompt, values = prompt_of(table, 6), [10, 11, 3, 4, 5, 0] * 12
    (whole,) = synthesis.sounds([table.codes(values, 11_500)], [None], names=["a"], prompts=[prompt])
    last = 11_500 - (len(values) - 1) * SAMPLES_PER_CODE
    blocks = [table.codes([value]) for value in values[:-1]] + [table.codes(values[-1:], last)]
    taken: list[int] = []

    def arriving() -> Iterator[Codes]:
        for block in blocks:
            taken.append(1)
            yield block

    pieces = synthesis.continued(prompt, arriving(), None, name="a")
    first = next(pieces)
    assert (len(taken) < len(blocks)) == kind.learned  # its sound begins while codes arrive
    streamed = np.concatenate([first.samples, *(piece.samples for piece in pieces)])
    np.testing.assert_array_equal(streamed, whole.samples)


class Levels:
    """A tokenizer whose codes are levels relative to the loudest sample of what it encodes."""

    def __init__(self, table: Table) -> None:
        self.table, self.format = table, table.format

    def encode(self, waveform: Waveform, /) -> Codes:
        blocks = waveform.samples[::SAMPLES_PER_CODE]
        return self.table.codes([int(7 * value) for value in blocks / blocks.max()], len(waveform.samples))


@pytest.mark.parametrize(
    ("steps", "least", "length"),
    [(12, 0, 6), (12, 7, 7), (12, 1e6, 9), (40, 7, 20), (1, 50, 1)],
)
def test_a_prompt_is_long_enough_where_its_clip_allows_it(steps: int, least: float, length: int) -> None:
    """It knows nothing of the sound after it, which is louder, and would change its codes."""
    samples = np.where(np.arange(steps * SAMPLES_PER_CODE) < length * SAMPLES_PER_CODE, 0.2, 0.8).astype(np.float32)
    excerpt = Excerpt(waveform=Waveform(samples=samples, sample_rate=RATE), start=0, whole=True)
    prompt = Prompt.of_excerpt(excerpt, Levels(random_table(8)), least_seconds=least * SAMPLES_PER_CODE / RATE)
    assert prompt.codes.values.flatten().tolist() == [7] * length
    assert len(prompt.waveform.samples) == length * SAMPLES_PER_CODE


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_a_prompt_of_an_excerpt_ends_within_the_sound(offset: float) -> None:
    samples = np.zeros(40 * SAMPLES_PER_CODE, np.float32) + np.float32(offset)
    samples[30 * SAMPLES_PER_CODE : 34 * SAMPLES_PER_CODE : 2] += np.float32(0.5)
    excerpt = Excerpt(waveform=Waveform(samples=samples, sample_rate=RATE), start=0, whole=False)
    prompt = Prompt.of_excerpt(excerpt, Levels(random_table(8)))
    np.testing.assert_array_equal(prompt.waveform.samples, samples[12 * SAMPLES_PER_CODE : 32 * SAMPLES_PER_CODE])
