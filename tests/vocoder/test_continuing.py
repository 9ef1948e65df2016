"""Sound that goes on from a recording, by a network that has learned how to go on with a tone."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.vocoder.sounds import SAMPLES_PER_CODE, SPECTROGRAM, Table, clips_of_own_meaning, random_table, tiny_config
from tokenizer.codes import Codes
from vocoder.continuing import Prompt, after, joined_sound
from vocoder.crops import Crops, loss
from vocoder.filters import REMEMBERED, PitchComb, VoiceHead
from vocoder.kinds import GRIFFIN_LIM, WAVENET, Kind
from vocoder.options import CropsConfig, Sampling
from vocoder.synthesis import Trained, Unlearned
from vocoder.vocoder import Vocoder
from vocoder.wavenet import create_wavenet
from wordless.audio.levels import Excerpt
from wordless.audio.waveform import Waveform
from wordless.base.seeds import sound_seed

RATE = 8000
STEPS = 12


def tones(count: int) -> list[np.ndarray]:
    """Tones of one pitch, each begun elsewhere in its period."""
    times = np.arange(STEPS * SAMPLES_PER_CODE) / RATE
    return [
        (12_000 * np.sin(2 * np.pi * 200 * times + phase)).astype(np.int16)
        for phase in np.linspace(0, 2 * np.pi, count, endpoint=False)
    ]


@pytest.fixture(scope="module")
def trained() -> tuple[Vocoder, Table]:
    clips, table = clips_of_own_meaning(tones(8))
    model = create_wavenet(tiny_config(residual_channels=16, gate_channels=32), seed=0)
    crops = Crops(clips, table, model.config, CropsConfig(batch_size=8, crop_codes=10, context_codes=1))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(120):
        total, count = loss(model, crops.batch(step))
        optimiser.zero_grad()
        (total / count).backward()
        optimiser.step()
    return Vocoder(model, "tok-1"), table


def prompt_of(table: Table, tone: int, steps: int) -> Prompt:
    samples = (tones(8)[tone] / 32_768).astype(np.float32)[: steps * SAMPLES_PER_CODE]
    first = tone * STEPS
    codes = table.codes(list(range(first, first + steps)))
    return Prompt(waveform=Waveform(samples=samples, sample_rate=RATE), codes=codes)


@pytest.mark.parametrize("tone", [1, 3, 6])
def test_no_step_at_the_joint_is_larger_than_those_of_the_prompt(trained: tuple[Vocoder, Table], tone: int) -> None:
    vocoder, table = trained
    prompt = prompt_of(table, tone, 6)
    more = table.codes(list(range(tone * STEPS + 6, tone * STEPS + 10)))
    new = Trained(vocoder, table, Sampling(temperature=0)).sounds([more], [None], names=["a"], prompts=[prompt])[0]
    whole = joined_sound(prompt.waveform, new)
    assert np.array_equal(whole.samples[: len(prompt.waveform.samples)], prompt.waveform.samples)
    assert len(new.samples) == more.num_samples
    steps = np.abs(np.diff(whole.samples))
    joint = len(prompt.waveform.samples) - 1
    assert steps[joint - 3 : joint + 4].max() <= 1.2 * steps[: joint - 3].max()
    # And it goes on in the same wave: a network that hears nothing begins another one.
    wave = (tones(8)[tone] / 32_768)[len(prompt.waveform.samples) :][:100]
    begun = vocoder.decode(table.codes(more.values[:, 0].tolist()), table, temperature=0).samples[:100]
    assert np.abs(new.samples[:100] - wave).mean() < 0.5 * np.abs(begun - wave).mean()


def test_only_the_end_of_a_long_prompt_is_heard_and_nothing_changes(trained: tuple[Vocoder, Table]) -> None:
    vocoder, table = trained
    prompt, more = prompt_of(table, 2, 10), table.codes([30, 31])
    heard = Trained(vocoder, table, Sampling(temperature=0)).sounds([more], [None], names=["a"], prompts=[prompt])[0]
    codes = table.codes([*prompt.codes.values[:, 0].tolist(), 30, 31])
    whole = vocoder.continue_from(prompt.waveform, codes, table, temperature=0)
    np.testing.assert_array_equal(heard.samples, whole.samples)
    assert len(prompt.end(3).waveform.samples) == 3 * SAMPLES_PER_CODE
    assert prompt.end(3).codes.values.tolist() == prompt.codes.values[-3:].tolist()
    assert prompt.end(99).codes.num_samples == prompt.codes.num_samples


def voiced(seed: int) -> VoiceHead:
    """A head whose pitch depends on the running mean of the codes' log-mel."""
    slopes = 0.01 * np.random.default_rng(seed).standard_normal(2 * SPECTROGRAM.n_mels)
    nothing = (0.0,) * len(slopes)
    return VoiceHead(voicing=(1.0, *nothing), octaves=(7.2, *map(float, slopes)))


@pytest.mark.parametrize("length", [2, 5, 10])
def test_the_comb_reads_the_whole_prompt(trained: tuple[Vocoder, Table], length: int) -> None:
    """Its path of periods and its running mean go on, although the network reads only the end."""
    plain, table = trained
    vocoder = Vocoder(plain.model, "tok-1", voice=voiced(0))
    prompt = prompt_of(table, 2, length)
    more = table.codes([30, 31, 3, 4, 50, 51] * 3)
    synthesis = Trained(vocoder, table, Sampling(temperature=0))
    joined = table.codes([*prompt.codes.values[:, 0].tolist(), *more.values[:, 0].tolist()])
    whole = vocoder.continue_from(prompt.waveform, joined, table, temperature=0)
    heard, alone = synthesis.sounds([more, more], [None, None], names=["a", "b"], prompts=[prompt, None])
    np.testing.assert_array_equal(heard.samples, whole.samples)
    blocks = [table.codes([value]) for value in more.values[:, 0].tolist()]
    pieces = [piece.samples for piece in synthesis.continued(prompt, blocks, None, name="a")]
    np.testing.assert_array_equal(np.concatenate(pieces), heard.samples)
    assert np.array_equal(alone.samples, vocoder.decode(more, table, temperature=0).samples)
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
        comb = PitchComb(SPECTROGRAM, voiced(2))
        comb.hear(samples[first * hop : -40 * hop], log_mel[first:-40])
        comb.expect(log_mel[-40:])
        made.append(comb.filter(samples[-40 * hop :]).numpy())
    np.testing.assert_allclose(made[0], made[1], atol=1e-3)


def test_without_a_prompt_a_sound_begins() -> None:
    table = random_table()
    vocoder = Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1")
    codes = table.codes([1, 2])
    prompt = Prompt(waveform=vocoder.decode(codes, table), codes=codes)
    alone, after_prompt = Trained(vocoder, table, Sampling(seed=3)).sounds(
        [codes, codes], [None, None], names=["a", "b"], prompts=[None, prompt]
    )
    np.testing.assert_array_equal(alone.samples, vocoder.decode(codes, table, seed=sound_seed(3, "a")).samples)
    assert len(after_prompt.samples) == codes.num_samples
    assert len(after(alone, 100).samples) == codes.num_samples - 100


@pytest.mark.parametrize("kind", [WAVENET, GRIFFIN_LIM])
def test_codes_that_arrive_one_by_one_sound_as_all_at_once(trained: tuple[Vocoder, Table], kind: Kind) -> None:
    vocoder, table = trained
    sampling = Sampling(seed=3)
    synthesis = Trained(vocoder, table, sampling) if kind.learned else Unlearned(kind, table, sampling)
    prompt, values = prompt_of(table, 2, 6), [30, 31, 3, 4, 5, 40] * 12
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
    ("steps", "least_seconds", "length"),
    [
        (12, 0.0, 6),
        (12, 7 * SAMPLES_PER_CODE / RATE, 7),
        (12, 1e3, 9),
        (40, 7 * SAMPLES_PER_CODE / RATE, 20),
        (1, 1, 1),
    ],
)
def test_a_prompt_is_long_enough_where_its_clip_allows_it(steps: int, least_seconds: float, length: int) -> None:
    samples = np.full(steps * SAMPLES_PER_CODE, 0.1, np.float32)
    excerpt = Excerpt(waveform=Waveform(samples=samples, sample_rate=RATE), start=0, whole=True)
    prompt = Prompt.of_excerpt(excerpt, Levels(random_table(8)), least_seconds=least_seconds)
    assert (len(prompt.codes.values), len(prompt.waveform.samples)) == (length, length * SAMPLES_PER_CODE)


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_a_prompt_of_an_excerpt_ends_within_the_sound(offset: float) -> None:
    samples = np.zeros(40 * SAMPLES_PER_CODE, np.float32) + np.float32(offset)
    samples[30 * SAMPLES_PER_CODE : 34 * SAMPLES_PER_CODE : 2] += np.float32(0.5)
    excerpt = Excerpt(waveform=Waveform(samples=samples, sample_rate=RATE), start=0, whole=False)
    prompt = Prompt.of_excerpt(excerpt, Levels(random_table(8)))
    np.testing.assert_array_equal(prompt.waveform.samples, samples[12 * SAMPLES_PER_CODE : 32 * SAMPLES_PER_CODE])


def test_a_prompt_knows_nothing_of_the_sound_after_it() -> None:
    """Codes that depend on the loudest sample, as those of ``audio.dynamic_range``: what follows is loud."""
    samples = np.repeat(np.array([0.2, 0.8], np.float32), 6 * SAMPLES_PER_CODE)
    excerpt = Excerpt(waveform=Waveform(samples=samples, sample_rate=RATE), start=0, whole=True)
    coder = Levels(random_table(8))
    prompt = Prompt.of_excerpt(excerpt, coder)
    assert prompt.codes.values.flatten().tolist() == [7] * 6
    assert coder.encode(excerpt.waveform).values[:6].flatten().tolist() == [1] * 6
