"""The table of synthesis methods, and what is told of vocoders while they make sound."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vocoder.sounds import (
    PATCH_FRAMES,
    SAMPLES_PER_CODE,
    SPECTROGRAM,
    Table,
    random_table,
    tiny_config,
    voice_head,
    with_pitch,
)
from tokenizer.codes import Codes, CodesFormat, LevelFormat, SideStream
from vocoder.filters import PostFilter, VoiceHead
from vocoder.frames import log_mel_of, pitch_of
from vocoder.generation import LoudnessRange
from vocoder.kinds import BY_KEY, HARMONICS, ORIGINAL, SIGNAL_PROCESSING, SYNTHESIS_METHODS, Stream, SynthesisMethod
from vocoder.measures import pitch
from vocoder.synthesis import SignalProcessingBaseline, Synthesis, create_synthesis, speaking
from vocoder.unlearned import griffin_lim, harmonics, noise
from vocoder.vocoder import Prompt, Vocoder
from vocoder.vocoder_options import Sampling
from vocoder.wavenet import create_wavenet
from wordless.audio.waveform import Waveform, join_blocks
from wordless.base.messages import InputError, written
from wordless.base.seeds import sound_seed


def test_each_kind_has_a_key_and_a_marker() -> None:
    assert len(BY_KEY) == len(SYNTHESIS_METHODS) == len({kind.marker for kind in SYNTHESIS_METHODS})
    assert ORIGINAL not in BY_KEY


@pytest.mark.parametrize("kind", SIGNAL_PROCESSING, ids=lambda kind: kind.key)
def test_sound_is_as_long_as_its_codes_and_the_same_in_pieces_and_after_a_prompt(kind: SynthesisMethod) -> None:
    table, told = random_table(), list[tuple[int, int]]()
    synthesis = create_synthesis(kind, table, Sampling(seed=3))
    codes, names = table.codes([1, 2, 3], 3 * SAMPLES_PER_CODE - 37), ["a", "b"]
    both, groups = [codes, table.codes([])], [None, "anna"]
    sound, empty = synthesis.sounds(both, groups, names=names, progress=lambda *done: told.append(done))
    assert (len(sound.samples), len(empty.samples)) == (codes.num_samples, 0)
    assert told[-1] == (codes.num_samples, codes.num_samples)
    pieces = [piece.samples for piece in synthesis.stream(codes, None, name="a")]
    assert np.array_equal(np.concatenate(pieces), sound.samples)
    begun = Prompt(waveform=sound, codes=codes).crop(0, 1)
    more = synthesis.sounds([codes.crop(1, 3)], [None], names=["a"], prompts=[begun])[0]
    assert np.array_equal(more.samples, sound.samples[SAMPLES_PER_CODE:])
    assert synthesis.side_by_side([3, 1, 2]) == [[1], [2], [0]]


@pytest.mark.parametrize("vocoder", [griffin_lim, harmonics])
def test_a_kind_is_the_vocoder_of_its_name_with_the_seed_of_the_sound(vocoder: Stream) -> None:
    table = random_table()
    codes = table.codes([1, 2, 3])
    kind = BY_KEY[vocoder.__name__]
    made = create_synthesis(kind, table, Sampling(seed=5, postfilter=0)).sounds([codes], [None], names=["a"])[0]
    pieces = [piece.numpy() for piece in vocoder(codes, table, seed=sound_seed(5, "a"))]
    assert np.array_equal(made.samples, np.concatenate(pieces))
    assert not np.array_equal(made.samples, np.concatenate([*vocoder(codes, table, seed=1)]))
    with pytest.raises(InputError, match="book-2"):
        next(vocoder(random_table(codebook="book-2").codes([1]), table, seed=0))


@pytest.mark.parametrize("voice", [None, voice_head(7.5)])
def test_sound_with_a_comb_is_the_plain_one_through_the_filter_of_a_wavenet(voice: VoiceHead | None) -> None:
    table, sampling = random_table(), Sampling(seed=3, postfilter=0.8, postfilter_passes=1)
    codes = table.codes([1, 2, 3, 4, 5], 5 * SAMPLES_PER_CODE - 37)
    (made,), (source,) = (
        Synthesis(SignalProcessingBaseline(HARMONICS, voice=voice), table, own).sounds([codes], [None], names=["a"])
        for own in (sampling, replace(sampling, postfilter=0))
    )
    wanted = PostFilter(table.front_end, strength=0.8, passes=1, voice=voice, comb=voice is not None)
    wanted.expect(log_mel_of(codes.values, table))
    plain = torch.nn.functional.pad(torch.from_numpy(source.samples), (0, 37))
    whole = torch.cat([wanted.filter(plain), wanted.finish()])
    np.testing.assert_array_equal(made.samples, whole[: codes.num_samples].numpy())


@pytest.mark.parametrize("shift", [0.0, 12.0])
def test_harmonics_have_the_pitch_of_the_codes(shift: float) -> None:
    """Of codes without a voice they are noise; the first voiced code of this table has 100 Hz, the last 200."""
    table = with_pitch(Table(torch.linspace(1, -1, SPECTROGRAM.n_mels).expand(12, PATCH_FRAMES, -1)))
    values = np.stack([np.arange(40) % 12, np.full(40, 1)], axis=1).astype(np.int32)
    codes = Codes(values=values, num_samples=40 * SAMPLES_PER_CODE, format=table.format)
    silent = replace(codes, values=(values * [1, 0]).astype(np.int32))
    voiced, whispered = (
        join_blocks(piece.numpy() for piece in harmonics(each, table, shift=shift / 12)) for each in (codes, silent)
    )
    whisper = join_blocks(piece.numpy() for piece in noise(silent, table))
    np.testing.assert_allclose(whispered, whisper, atol=1e-6)
    found = pitch(Waveform(samples=voiced, sample_rate=SPECTROGRAM.sample_rate))[5:-5]
    assert np.isfinite(found).mean() > 0.9
    assert abs(12 * np.log2(np.nanmedian(found) / 100) - shift) < 0.5


def test_the_pitch_is_found_in_any_column() -> None:
    class Reordered(CodesFormat):
        @property
        def side_streams(self) -> tuple[SideStream, ...]:
            return super().side_streams[::-1]

    table, level = with_pitch(random_table()), LevelFormat(levels=77, lowest=-70.0, reference=-15.0)
    for kind in (CodesFormat, Reordered):
        table.format = kind(**{**vars(table.format), "streams": 3, "level": level})
        own, pitch = (
            Codes(values=np.zeros((4, 3), np.int32), num_samples=4 * SAMPLES_PER_CODE, format=table.format),
            table.format.pitch,
        )
        assert pitch is not None
        values = own.with_side_streams(own.format, {level: np.full(4, 60), pitch: np.arange(4)}).values
        np.testing.assert_array_equal(pitch_of(values, table), pitch.octaves[:4].repeat(PATCH_FRAMES))


def test_what_a_vocoder_lacks_and_draws_again_is_told() -> None:
    model, table, told = create_wavenet(tiny_config(), seed=0), random_table(), list[str]()
    quiet = LoudnessRange(lowest=-110, highest=-100)
    vocoder = Vocoder(model, "tok-1", loudness=quiet, options=Sampling(engine="triton"))
    with speaking([Synthesis(vocoder, table, Sampling())], told.append):
        assert len(told) == 1
        vocoder.decode(table.codes([1, 2]), table)
    assert "engine=triton" in told[0]
    assert re.search(r"blocks of sound\b.*\b1\b.*\b1\b", told[1])


@pytest.mark.parametrize(("option", "value"), [("remove_mean", "clip"), ("dynamic_range", 40.0)])
def test_a_front_end_that_knows_no_levels_is_told_and_not_filtered(option: str, value: object) -> None:
    table, told, model = random_table(), list[str](), create_wavenet(tiny_config(), seed=0)
    table.front_end = replace(SPECTROGRAM, **{option: value})  # type: ignore[arg-type]  # one of two options
    filtered, plain = Vocoder(model, "tok-1"), Vocoder(model, "tok-1", options=Sampling(postfilter=0))
    codes = table.codes([1, 2, 3])
    with speaking([Synthesis(filtered, table, Sampling())], told.append):
        assert np.array_equal(filtered.decode(codes, table).samples, plain.decode(codes, table).samples)
    assert [line for line in told if f"audio.{option}={written(value)}" in line] == told != []
    with speaking([Synthesis(plain, table, Sampling())], told.append):
        assert len(told) == 1
