"""Vocoders of every kind: streams, batches, folders, prompts, and what they refuse."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.threads import require_alike
from tests.vocoder.sounds import (
    SAMPLES_PER_CODE,
    SPECTROGRAM,
    Table,
    in_context,
    lively,
    random_table,
    tiny_config,
    voice_head,
    with_pitch,
)
from tokenizer.codes import Codes
from vocoder.filters import PostFilter
from vocoder.frames import log_mel_of
from vocoder.generation import LoudnessRange
from vocoder.synthesis import Synthesis
from vocoder.vocoder import DecodingInput, Vocoder
from vocoder.vocoder_options import Sampling
from vocoder.wavenet import create_wavenet
from wordless.audio.reading import as_waveform, resampled
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

Speaker = tuple[Vocoder, Table]


def speaker(
    *, table: Table | None = None, front_end: dict[str, object] | None = None, gain: float = 0.0, **changes: object
) -> Speaker:
    """A vocoder and what its codes mean; ``changes`` are of the network, or of the vocoder."""
    own = {name: changes.pop(name) for name in ("options", "voice", "loudness") if name in changes}
    table = table or random_table()
    table.front_end, table.gain = replace(SPECTROGRAM, **(front_end or {})), gain  # type: ignore[arg-type]
    return Vocoder(lively(tiny_config(**changes)), "tok-1", **own), table  # type: ignore[arg-type]


THREE = Table(torch.randn(12, 3, SPECTROGRAM.n_mels, generator=torch.Generator().manual_seed(0)))
SPEAKERS: dict[str, Callable[[], Speaker]] = {
    "groups": lambda: speaker(groups=("george", "jackson"), loudness=LoudnessRange(lowest=-110.0, highest=0.0)),
    "three frames": lambda: speaker(table=THREE, patch_frames=3),
    "no filter": lambda: speaker(options=Sampling(postfilter=0.0)),
    "gain": lambda: speaker(gain=3.0),
    "long windows": lambda: speaker(front_end={"window_length": 4000}),
    "voice head": lambda: speaker(voice=voice_head(7.0, seed=1)),
    "pitch of the codes": lambda: speaker(table=with_pitch(random_table())),
    "network with pitch": lambda: speaker(table=with_pitch(random_table()), pitch=True),
    "codes in context": lambda: speaker(table=in_context(random_table()), voice=voice_head(7.0, seed=1)),
}


def codes_of(table: Table, steps: int) -> Codes:
    """Codes of which the first have no pitch, and whose sound ends within the last one."""
    time, streams = np.arange(steps), table.format.streams
    values = np.stack([time % 12, 5 * (time % 40 > 9)], axis=1)[:, :streams].astype(np.int32)
    return Codes(values=values, num_samples=max(steps * table.format.samples_per_code - 37, 0), format=table.format)


def joined(pieces: Iterable[Waveform]) -> FloatArray:
    found = [piece.samples for piece in pieces]
    assert all(len(each) for each in found)  # a stream says nothing empty
    return np.concatenate([np.zeros(0, np.float32), *found])


@pytest.mark.parametrize("name", SPEAKERS)
def test_streams_batches_and_saved_vocoders_sound_as_the_whole(name: str, tmp_path: Path) -> None:
    vocoder, table = SPEAKERS[name]()
    codes, sampling = codes_of(table, 70), Sampling(seed=3)
    sound = vocoder.decode(codes, table, seed=3).samples
    assert len(sound) == codes.num_samples
    vocoder.save_pretrained(tmp_path / "a")
    loaded = Vocoder.from_pretrained(tmp_path / "a", postfilter=vocoder.options.postfilter)
    loaded.save_pretrained(tmp_path / "b")
    for file in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    for size in (1, 9, 200):
        blocks = [codes.crop(start, start + size) for start in range(0, 70, size)]
        np.testing.assert_array_equal(joined(loaded.stream(iter(blocks), table, sampling)), sound)
    others = [codes_of(table, 5), codes, codes_of(table, 0)]
    seeded = zip(others, [9, 3, 4], strict=True)
    again = vocoder.decode_batch([DecodingInput(codes=each, seed=seed) for each, seed in seeded], table)
    np.testing.assert_array_equal(again[1].samples, sound)
    assert [len(each.samples) for each in again] == [each.num_samples for each in others]
    heard = Waveform(samples=sound[:6001], sample_rate=8000)
    assert vocoder.sample_rate == 8000
    more = vocoder.continue_from(heard, codes, table, seed=3).samples
    np.testing.assert_array_equal(joined(vocoder.stream([codes], table, sampling, prompt=heard))[6001:], more)


@pytest.mark.parametrize("name", ["groups", "network with pitch", "voice head"])
def test_four_threads_with_one_vocoder_get_the_sounds_of_one(name: str) -> None:
    vocoder, table = SPEAKERS[name]()

    def answer(number: int) -> bytes:
        return vocoder.decode(codes_of(table, 3 + 2 * number), table, seed=number).samples.tobytes()

    require_alike(answer, 4)


@pytest.mark.parametrize("num_samples", [0, 100, 5039, 5040, 5041, 5120, 5121])  # chunks of 64 frames end at 5120
@pytest.mark.parametrize("name", ["groups", "three frames", "codes in context"])
def test_a_stream_equals_the_whole_wherever_it_ends(name: str, num_samples: int) -> None:
    vocoder, table = SPEAKERS[name]()
    codes = replace(codes_of(table, table.format.steps(num_samples)), num_samples=num_samples)
    np.testing.assert_array_equal(joined(vocoder.stream([codes], table)), vocoder.decode(codes, table).samples)


def test_the_pitch_of_head_codes_and_network_is_heard() -> None:
    def decoded(own: Speaker, **options: float) -> FloatArray:
        vocoder, table = own
        vocoder.options = Sampling(**options)  # type: ignore[arg-type]  # of several types
        return vocoder.decode(codes_of(table, 70), table).samples

    for name in ("voice head", "pitch of the codes", "network with pitch"):
        own = vocoder, table = SPEAKERS[name]()
        sound, clip = decoded(own), DecodingInput(codes=codes_of(table, 70))
        (shifted,) = vocoder.decode_batch([clip], table, Sampling(shift=-7.0))
        assert np.allclose(sound, shifted.samples, atol=0.01) == (name == "voice head")  # of the codes' pitch alone
        alone, combed = decoded(own, pitch_comb=False), decoded(own, pitch_comb=True)
        assert not np.allclose(alone, combed, atol=0.01)
        speaks = name == "network with pitch"  # its voice is its own: without a comb, the filter is applied once
        np.testing.assert_array_equal(combed, sound)
        np.testing.assert_array_equal(decoded(own, pitch_comb=False, postfilter_passes=1 if speaks else 2), alone)
        bare, unfiltered = (decoded(own, postfilter=0.0, pitch_comb=comb) for comb in (False, True))
        np.testing.assert_array_equal(bare, unfiltered)  # without a filter there is no comb
        for comb in (True, False):
            vocoder.options = Sampling(pitch_comb=comb)
            assert Synthesis(vocoder, table, Sampling()).comb == comb


def test_low_bands_of_a_voice_of_the_networks_own_are_raised_a_little() -> None:
    vocoder, table = SPEAKERS["network with pitch"]()
    codes, sounds = codes_of(table, 70), list[FloatArray]()
    for strength in (0.0, 1.0):
        vocoder.options = Sampling(postfilter=strength, pitch_comb=False)
        sounds.append(vocoder.decode(codes, table).samples)
    whole = np.pad(sounds[0], (0, -len(sounds[0]) % table.front_end.hop_length))
    for own_voice in (True, False):
        wanted = PostFilter(table.front_end, strength=1.0, passes=1, own_voice=own_voice, harmonic=True)
        wanted.expect(log_mel_of(codes.values, table)[: len(whole) // table.front_end.hop_length])
        filtered = torch.cat([wanted.filter(torch.from_numpy(whole)), wanted.finish()]).numpy()
        before = slice(len(sounds[1]) - SPECTROGRAM.window_length)  # a window before the cut through the last code
        assert np.allclose(filtered[before], sounds[1][before], atol=1e-3) == own_voice


@pytest.fixture
def vocoder() -> Vocoder:
    return Vocoder(create_wavenet(tiny_config(groups=("george", "jackson")), seed=0), "tok-1")


@pytest.mark.parametrize(
    ("sizes", "codes", "tokenizer", "told"),
    [
        ({}, {"tokenizer": "tok-2"}, {"tokenizer": "tok-2"}, r"\btok-1\b.*\btok-2\b"),
        ({}, {}, {"tokenizer": "tok-2"}, r"\btok-1\b.*\btok-2\b"),
        ({}, {"codebook": "book-2"}, {}, "book-2"),
        ({"sample_rate": 16_000}, {}, {}, "16000"),
        ({"hop_length": SAMPLES_PER_CODE, "patch_frames": 1}, {}, {}, "samples"),  # of the same fingerprint
        ({"n_mels": 99}, {}, {}, r"\b99\b"),
    ],
)
def test_codes_of_another_tokenizer_codebook_or_size_are_refused(
    sizes: dict[str, int], codes: dict[str, str], tokenizer: dict[str, str], told: str
) -> None:
    own = Vocoder(create_wavenet(replace(tiny_config(), **sizes), seed=0), "tok-1")
    with pytest.raises(InputError, match=told):
        own.decode(random_table(**codes).codes([1]), random_table(**tokenizer))


def test_another_codebook_of_its_tokenizer_is_served_and_another_group_is_refused(vocoder: Vocoder) -> None:
    other = random_table(size=5, codebook="book-2")
    assert len(vocoder.decode(other.codes([4]), other).samples) == SAMPLES_PER_CODE
    assert vocoder.group_index(None) == -1
    with pytest.raises(InputError, match=r"'?jacksen\b.*\bjackson\b"):
        vocoder.group_index("jacksen")


@pytest.mark.parametrize("numbers", [[0.5] * 40, ["a"] * 41, [1e300] * 41, [None] * 41])
def test_a_damaged_voice_is_refused_in_one_line(tmp_path: Path, numbers: object) -> None:
    vocoder, _ = SPEAKERS["voice head"]()
    vocoder.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    for voice in ({"octaves": numbers}, {"voicing": numbers}):
        changed = saved | {"voice": saved["voice"] | voice}
        (tmp_path / "config.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"damaged\b.*voice") as caught:
            Vocoder.from_pretrained(tmp_path)
        assert "\n" not in str(caught.value)


def test_goes_on_from_samples_of_any_kind_and_rate_as_from_a_waveform(vocoder: Vocoder) -> None:
    table = random_table()
    codes = table.codes([1, 2, 3])
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2 * SAMPLES_PER_CODE)).astype(np.float32)
    recording = resampled(as_waveform(stereo, 16_000), 8000)
    expected = vocoder.continue_from(recording, codes, table, seed=4).samples
    assert len(expected) == 2 * SAMPLES_PER_CODE
    for given, rate in ((recording.samples.tolist(), None), (recording.samples, 8000), (stereo, 16_000)):
        found = vocoder.continue_from(given, codes, table, sample_rate=rate, seed=4)
        np.testing.assert_array_equal(found.samples, expected)
    for wrong in (stereo * np.nan, ["a"], codes):
        with pytest.raises(InputError, match="prompt"):
            vocoder.continue_from(wrong, codes, table)  # type: ignore[arg-type]  # what callers give all the same
    with pytest.raises(InputError, match=r"codes\b.*ndarray\b.*Codes\b"):
        vocoder.decode(codes.values, table)  # type: ignore[arg-type]


def test_goes_on_from_a_sound_without_the_sound_itself_if_the_prompt_fits(vocoder: Vocoder) -> None:
    table = random_table()
    codes = table.codes([1, 2, 3])
    vocoder.options = Sampling(postfilter=0)  # it leaves the beginning of what is new as it is
    whole = vocoder.decode(codes, table, seed=4)
    heard = Waveform(samples=whole.samples[: SAMPLES_PER_CODE + 21], sample_rate=8000)
    more = vocoder.continue_from(heard, codes, table, seed=4)
    assert np.array_equal(more.samples, whole.samples[len(heard.samples) :])  # as if it had never stopped
    long = Waveform(samples=np.zeros(2 * SAMPLES_PER_CODE + 1, np.float32), sample_rate=8000)
    with pytest.raises(InputError, match=r"prompt\b.*\b321 samples\b.*\b320\b"):
        vocoder.continue_from(long, table.codes([1, 2]), table)
    with pytest.raises(InputError, match=r"prompt\b.*\b16000 Hz"):
        vocoder.continue_from(replace(long, sample_rate=16_000), table.codes([1, 2, 3]), table)


def test_a_stream_says_what_it_can_before_all_codes_are_there_and_nothing_after_an_end(vocoder: Vocoder) -> None:
    table = random_table()
    given: list[int] = []

    def blocks() -> Iterator[Codes]:
        for number in range(12):
            given.append(number)
            yield table.codes([1] * 10)

    vocoder.options = Sampling(postfilter_passes=1)
    first = next(iter(vocoder.stream(blocks(), table)))
    assert len(first.samples) == 32 * SAMPLES_PER_CODE - SPECTROGRAM.left_context  # what later frames change waits
    assert len(given) < 12
    ended = [table.codes([1, 2], 2 * SAMPLES_PER_CODE - 1), table.codes([3])]
    with pytest.raises(InputError, match=r"\b319\b.*\b160\b"):
        list(vocoder.stream(ended, table))
