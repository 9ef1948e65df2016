"""Encoding is the same however the sound arrives; codes, rates and views are what they say."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.pipelines.tiny import AUDIO, sweep, tiny_tokenizer
from tests.reference import decode_whole, encode_whole, levelled
from tests.threads import require_alike
from tests.tokenizer.conftest import LONG, RATE, change_config, like, sound
from tokenizer.augmentations import InputAugmentationConfig, SoundChanges, ViewsConfig
from tokenizer.codes import Codes, CodesFormat, join_rates
from tokenizer.encoder import Encoder, encode, pictures
from tokenizer.health import measure_fidelity
from tokenizer.rates_tokenizer import RatesTokenizer
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from tokenizer.tokenizer_config import fingerprint, front_end_fingerprint
from wordless.audio.audio_options import MeanRemoval
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel, mel_power, subtract_mean
from wordless.audio.views import Change, View
from wordless.audio.waveform import Waveform
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError
from wordless.base.threads import limited_threads


@pytest.mark.parametrize("name", ["tokenizer", "banded", "levelled_codes"])
def test_codes_are_those_of_the_definition(name: str, request: pytest.FixtureRequest) -> None:
    """Block by block with a codebook search by matrix product, against the whole spectrogram and every distance."""
    tokenizer: Tokenizer = request.getfixturevalue(name)
    step = tokenizer.format.samples_per_code
    for samples in (1, step - 1, step, step + 1, len(LONG)):
        codes = tokenizer.encode(LONG[:samples], RATE)
        assert np.array_equal(codes.spectral.values, encode_whole(tokenizer, LONG[:samples]))
        assert codes.num_samples == samples
    assert len(tokenizer.encode(LONG[:0], RATE)) == 0


@settings(max_examples=5)
@given(cuts=st.lists(st.floats(0, 1), max_size=8))
def test_a_stream_gives_the_codes_of_the_whole(any_tokenizer: Tokenizer, cuts: list[float]) -> None:
    samples = np.tile(LONG, any_tokenizer.format.samples_per_code // 160)  # two blocks and a half of the coarsest codes
    places = sorted(round(cut * len(samples)) for cut in cuts)
    streamed = any_tokenizer.encode_blocks(np.split(samples, places), RATE)
    assert np.array_equal(streamed.values, any_tokenizer.encode(samples, RATE).values)
    assert (streamed.num_samples, streamed.format) == (len(samples), any_tokenizer.format)


def test_four_threads_with_one_tokenizer_get_the_codes_of_one(any_tokenizer: Tokenizer) -> None:
    def answer(number: int) -> Codes:
        return any_tokenizer.encode(LONG[: len(LONG) // (1 + number)], RATE)

    require_alike(answer, 4)


def test_a_saved_tokenizer_is_the_same_and_whole_or_without_config(any_tokenizer: Tokenizer, tmp_path: Path) -> None:
    any_tokenizer.save_pretrained(tmp_path)
    loaded = Tokenizer.from_pretrained(tmp_path, device="cpu")
    assert (type(loaded), loaded.config) == (type(any_tokenizer), any_tokenizer.config)
    assert loaded.encode(LONG, RATE) == any_tokenizer.encode(LONG, RATE)
    if loaded.format.rates:
        assert Tokenizer.from_pretrained(tmp_path / "rate_3").format == any_tokenizer.finest.format
    (tmp_path / "README.md").unlink()
    (tmp_path / "README.md").mkdir()  # saving fails half way
    with pytest.raises(OSError, match=r"README\.md"):
        any_tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_threads_do_not_change_codes(tokenizer: Tokenizer) -> None:
    codes = []
    for threads in (1, 2):
        with limited_threads(threads):
            codes.append(tokenizer.encode(LONG, RATE))
    assert codes[0] == codes[1]


@pytest.mark.parametrize("name", ["tokenizer", "levelled_codes"])
def test_no_code_sees_what_comes_later(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    step = tokenizer.format.samples_per_code
    changed = LONG.copy()
    changed[100 * step :] = sound(10.0, seed=1)[: len(LONG) - 100 * step]
    plain, other = (tokenizer.encode_own([each]) for each in (LONG, changed))
    plain, other = (each.values[:, : each.format.streams - (each.format.pitch is not None)] for each in (plain, other))
    assert np.array_equal(plain[:100], other[:100])
    assert not np.array_equal(plain[100:], other[100:])


def quiet_and_loud(seconds: float) -> FloatArray:
    """Soft noise, sounds of several levels with pauses between them, and digital silence."""
    samples, step = sound(seconds, seed=3), round(0.2 * RATE)
    for number, gain in zip(range(0, len(samples), step), cycle((0.1, 1.0, 0.02, 0.4, 0.05)), strict=False):
        samples[number : number + step] *= gain
    samples[-step:] = 0
    return samples


@pytest.mark.parametrize("decibels", [-12.0, 5.3, 12.0])
def test_softer_and_louder_recordings_have_the_same_codes_and_another_level(
    decibels: float, levelled_codes: Tokenizer, tmp_path: Path
) -> None:
    """In arrays, files, streams and recordings of several blocks."""
    samples, level = 0.2 * quiet_and_loud(6.0), levelled_codes.format.level
    assert level is not None
    other = samples * np.float32(10 ** (decibels / 20))
    own = levelled_codes.encode(samples, RATE)
    soundfile.write(tmp_path / "other.wav", other, RATE, subtype="FLOAT")
    changed = levelled_codes.encode_file(tmp_path / "other.wav")
    assert changed == levelled_codes.encode(other, RATE)
    assert changed == levelled_codes.encode_blocks(np.split(other, [7, 900, 20_000]), RATE)
    assert (own.spectral.values == changed.spectral.values).mean() >= 0.99
    heard = own.side_stream(level)[own.side_stream(level) + min(decibels, 0) > 0]
    assert len(heard) > 0.9 * len(own)
    moved = changed.side_stream(level) - own.side_stream(level)
    assert np.abs(moved - decibels)[: len(heard)].max() <= 1  # of two roundings
    one, more = (
        mel_power(
            levelled_codes.denormalise(levelled_codes.spectrogram(torch.tensor(each.values)[None])),
            levelled_codes.front_end,
        ).sum()
        for each in (own, changed)
    )
    assert 10 * math.log10(float(more / one)) == pytest.approx(decibels, abs=0.5)


def test_the_level_is_that_of_the_definition_and_kept_within_its_codes(levelled_codes: Tokenizer) -> None:
    level, audio, step = levelled_codes.format.level, levelled_codes.front_end, levelled_codes.config.samples_per_code
    assert level is not None
    for samples in (quiet_and_loud(3.0), 300 * quiet_and_loud(1.0), quiet_and_loud(1.0) * 0):
        padded = np.pad(samples, (0, -len(samples) % step))
        _, wanted = levelled(LogMel(audio.absolute)(torch.from_numpy(padded)[None])[0], audio)
        codes = levelled_codes.encode_own([samples])
        nearest = np.clip(np.rint(np.array(wanted) - level.lowest), 0, level.levels - 1)
        np.testing.assert_array_equal(codes.side_stream(level), nearest)
        assert levelled_codes.spectrogram(torch.tensor(codes.values)[None]).isfinite().all()
    silent = levelled_codes.encode_own([np.zeros(RATE, np.float32)])
    assert not silent.side_stream(level).any()
    unknown = silent.spectral.with_side_streams(levelled_codes.format)
    assert {*unknown.side_stream(level)} == {level.quantise(torch.tensor([level.reference])).item()} == {level.unknown}


def test_what_codes_mean_and_pictures_are_as_loud_as_the_recordings(levelled_codes: Tokenizer, tmp_path: Path) -> None:
    """0 is the average of the recordings, which are soft here, and pictures follow the sound."""
    levelled_codes.save_pretrained(tmp_path)
    loaded, soft = Tokenizer.from_pretrained(tmp_path), 0.05 * sound(6.0)
    codes = loaded.encode(soft, RATE)
    decoded = loaded.spectrogram(torch.tensor(codes.values)[None])
    assert float(decoded.mean()) == pytest.approx(0, abs=0.2)
    heard = LogMel(loaded.front_end.absolute)(torch.from_numpy(soft)[None])
    assert float(loaded.denormalise(decoded).mean() - heard.mean()) == pytest.approx(0, abs=0.3)
    for gain in (0.25, 1.0, 4.0):
        waveform = Waveform(samples=soft * np.float32(gain), sample_rate=RATE)
        shown = pictures(loaded, [waveform], [loaded.encode(waveform)])
        wanted = LogMel(loaded.front_end.absolute)(torch.from_numpy(waveform.samples)[None])[0]
        found = loaded.denormalise(shown["0:original"])[: len(wanted)]
        assert float((found - wanted).abs().max()) < 0.5 * math.log(10) / 10 + 0.01  # levels are whole dB
        for kind in ("autoencoder", "codebook"):
            assert float((loaded.denormalise(shown[f"0:{kind}"]) - found).mean()) == pytest.approx(0, abs=0.3)


def test_samples_of_any_kind_and_batches_give_the_codes_of_each_recording(
    tokenizer: Tokenizer, rate_tokenizer: RatesTokenizer
) -> None:
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((0.5, 0.31, 0.5))]
    stereo, equal = np.stack([sounds[0], 0.5 * sounds[0]], axis=1), np.stack([sounds[0], sounds[2]])
    waveform = Waveform(samples=sounds[1], sample_rate=4_000)
    for model in (tokenizer, rate_tokenizer):
        alone = [model.encode(each, RATE) for each in (*sounds, stereo)]
        assert model.encode(sounds[0].tolist(), RATE) == model.encode(torch.from_numpy(sounds[0]), RATE) == alone[0]
        assert model.encode_batch([*sounds, stereo], RATE) == alone
        assert model.encode_batch(torch.from_numpy(equal), RATE) == alone[:3:2]
        assert model.encode_batch(equal[:, None], RATE) == alone[:3:2]  # (batch, 1, samples)
        assert model.encode_batch([waveform]) == [model.encode(waveform)]
        assert model.encode_batch([], RATE) == []


def test_codes_and_samples_without_a_rate_are_no_sound(tokenizer: Tokenizer) -> None:
    """NumPy would take the numbers of codes for samples."""
    codes = tokenizer.encode(LONG, RATE)
    for ask, told in (
        (lambda: tokenizer.encode_batch([sound(0.1), np.array([np.nan])], RATE), r"\[1\]"),
        (lambda: tokenizer.encode(LONG), r"sample_rate.*missing"),
        (lambda: tokenizer.encode(codes, RATE), "Codes"),  # type: ignore[arg-type]  # what callers give all the same
        (lambda: tokenizer.encode_batch([codes], RATE), "Codes"),  # type: ignore[list-item]
        (lambda: tokenizer.encode_batch(sound(0.1), RATE), "encode"),  # one recording is no batch
        (lambda: tokenizer.encode_batch([0.1, 0.2], RATE), "encode"),  # type: ignore[list-item]
    ):
        with pytest.raises(InputError, match=told):
            ask()


@pytest.mark.parametrize("at_once", [2, 64])
@pytest.mark.parametrize("remove_mean", ["none", "running", "clip"])
def test_several_blocks_together_give_the_codes_of_each(
    tokenizer: Tokenizer, at_once: int, remove_mean: MeanRemoval, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU encodes them. A code may differ where two centroids are equally near, up to rounding."""
    config = replace(tokenizer.config, audio=replace(tokenizer.config.audio, remove_mean=remove_mean))
    model = like(tokenizer, config)
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((0.5, 0.0, 2.9, 0.31, 0.02, 4.0))]
    alone = [model.encode_blocks([each], RATE) for each in sounds]
    frames = torch.randn(1000, config.audio.n_mels, generator=torch.Generator().manual_seed(0))
    of_frames = model.encode_spectrogram(frames)
    monkeypatch.setattr(Tokenizer, "_at_once", at_once)
    together = [model.encode_own([each]) for each in sounds]
    for found in (together, [model.encode_blocks([each], RATE) for each in sounds]):
        assert [each.num_samples for each in found] == [each.num_samples for each in alone]
        assert [each.values.shape for each in found] == [each.values.shape for each in alone]
        values = [np.concatenate([each.values for each in codes]) for codes in (found, alone)]
        assert np.mean(values[0] != values[1]) < 0.001
    assert (model.encode_spectrogram(frames) != of_frames).float().mean() < 0.001


def test_the_channel_of_the_front_end_is_read(tokenizer: Tokenizer, tmp_path: Path) -> None:
    quiet, loud = sound(0.4), 2 * sound(0.4, seed=1)
    stereo = np.stack([quiet, loud], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    for channel, expected in ((0, quiet), (1, loud), ("loudest", loud), ("mean", (quiet + loud) / 2)):
        config = replace(tokenizer.config, audio=replace(tokenizer.config.audio, channel=channel))
        like(tokenizer, config).save_pretrained(tmp_path / str(channel))
        own = Tokenizer.from_pretrained(tmp_path / str(channel))
        wanted = tokenizer.encode(expected, RATE).values
        assert np.array_equal(own.encode_file(tmp_path / "a.wav").values, wanted)
        assert np.array_equal(own.encode(stereo, RATE).values, wanted)
        assert np.array_equal(own.encode_batch([stereo.T], RATE)[0].values, wanted)
        assert (own.format.codebook == tokenizer.format.codebook) == (channel == "mean")


def counted(*shape: int) -> Tensor:
    return (torch.arange(int(np.prod(shape))) % 7 - 3).reshape(shape) / 8


def test_the_front_end_that_files_name_is_that_of_the_tokenizer(any_tokenizer: Tokenizer, tmp_path: Path) -> None:
    any_tokenizer.save_pretrained(tmp_path)
    statistics = {"mean": any_tokenizer.mean, "std": any_tokenizer.std}
    assert front_end_fingerprint(tmp_path) == fingerprint(asdict(any_tokenizer.config.audio), statistics)


@pytest.mark.parametrize("name", ["tokenizer", "banded"])
def test_spectrograms_are_those_of_the_definition(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    values = tokenizer.encode(LONG, RATE).values
    meant = tokenizer.spectrogram(torch.tensor(values)[None])[0].numpy()
    assert np.allclose(meant, decode_whole(tokenizer, values), atol=1e-5)
    assert tokenizer.spectrogram(torch.tensor(values[:0])[None]).shape == (1, 0, 24)


def test_the_codebook_loses_some_of_the_sound(banded: Tokenizer) -> None:
    found = measure_fidelity(banded, [np.zeros(3, np.float32), sound(2.0, seed=3)])
    assert found["reconstruction_mse"] < found["quantised_mse"]
    assert found == measure_fidelity(banded, [sound(2.0, seed=3)])  # a clip shorter than a code is left out


LONG_FOR_RATES = sound(PATCHES_PER_BLOCK * 8 * 2.3 * 80 / RATE)  # two blocks of the coarsest rate and a part of a third


def format_of(samples_per_code: int, *, streams: int = 1, codebook_size: int = 100) -> CodesFormat:
    return CodesFormat(
        codebook_size=codebook_size,
        streams=streams,
        samples_per_code=samples_per_code,
        sample_rate=8000,
        tokenizer=f"t{samples_per_code}",
        codebook=f"c{samples_per_code}",
    )


def counted_codes(own: CodesFormat, num_samples: int, *, first: int = 0) -> Codes:
    """Codes that count from ``first``."""
    values = first + np.arange(own.steps(num_samples) * own.streams, dtype=np.int32).reshape(-1, own.streams)
    return Codes(values=values % own.codebook_size, num_samples=num_samples, format=own)


def test_the_layout_is_that_of_the_drawing() -> None:
    """Two time steps of 80 samples; the recording ends after 105: in the second code of rate 2, and of rate 3.

    ::

        samples   0       20      40      60      80      100 |   120     140     160
        rate 1    [              10              ][            11 |               ]
        rate 2    [      20      ][      21      ][      22   |   ]
        rate 3    [  30  ][  31  ][  32  ][  33  ][  34  ][ 35|  ]
    """
    parts = [counted_codes(format_of(spc), 105, first=first) for spc, first in ((80, 10), (40, 20), (20, 30))]
    codes = join_rates(parts)
    assert codes.values.tolist() == [[10, 20, 21, 30, 31, 32, 33], [11, 22, 0, 34, 35, 0, 0]]
    assert (codes.num_samples, codes.format.samples_per_code, codes.format.streams) == (105, 80, 7)
    for found, part in zip(codes.by_rate, parts, strict=True):
        assert found.format == part.format
        assert np.array_equal(found.values, part.values)


@given(
    num_samples=st.integers(0, 700),
    lengths=st.sampled_from([(96, 48), (96, 32, 16), (96, 24, 12, 6), (96, 6, 3)]),
    streams=st.lists(st.integers(1, 3), min_size=4, max_size=4),
)
def test_split_inverts_join(num_samples: int, lengths: tuple[int, ...], streams: list[int]) -> None:
    formats = [format_of(length, streams=own) for length, own in zip(lengths, streams, strict=False)]
    parts = [counted_codes(each, num_samples, first=number) for number, each in enumerate(formats)]
    assert [*join_rates(parts).by_rate] == parts


def test_parts_that_were_padded_to_whole_codes_end_with_the_shortest() -> None:
    parts = [counted_codes(format_of(spc), n) for spc, n in ((80, 160), (40, 120))]
    codes = join_rates(parts)
    assert codes.num_samples == 120
    assert [len(each.values) for each in codes.by_rate] == [2, 3]


def test_a_single_rate_is_itself_and_several_add_their_bits() -> None:
    codes = counted_codes(format_of(80), 200)
    assert codes.by_rate == (codes,)
    assert join_rates([codes]) is codes
    assert CodesFormat.of_rates([codes.format]) is codes.format
    assert WHOLE.bits_per_second == pytest.approx(sum(each.bits_per_second for each in WHOLE.formats))


WHOLE = CodesFormat.of_rates([format_of(80), format_of(40)])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CodesFormat.of_rates((format_of(80), format_of(30))), "equal part"),
        (lambda: CodesFormat.of_rates((format_of(40), format_of(80))), "equal part"),
        (lambda: CodesFormat.of_rates((format_of(80), format_of(80))), "equal part"),
        (lambda: CodesFormat.of_rates((format_of(80), format_of(40, codebook_size=8))), r"\b100 codes\b.*\b8\b"),
        (lambda: replace(WHOLE, streams=4), "time step"),
        (lambda: replace(WHOLE, samples_per_code=160), "time step"),
        (lambda: replace(WHOLE, rates=WHOLE.rates[:1]), "time step"),
        (lambda: join_rates([counted_codes(format_of(80), 240), counted_codes(format_of(40), 120)]), "one recording"),
    ],
)
def test_rates_that_do_not_nest_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


def test_each_rate_has_the_codes_of_its_tokenizer_alone(rate_tokenizer: RatesTokenizer) -> None:
    codes = rate_tokenizer.encode(LONG_FOR_RATES, RATE)
    for tokenizer, own in zip(rate_tokenizer.rates, codes.by_rate, strict=True):
        assert np.array_equal(own.values, tokenizer.encode(LONG_FOR_RATES, RATE).values)


def test_rates_that_do_not_belong_together_are_refused(rate_tokenizer: RatesTokenizer, tmp_path: Path) -> None:
    rate_tokenizer.save_pretrained(tmp_path)
    coarse, finest = rate_tokenizer.rates[0], rate_tokenizer.finest
    parts = finest.mean, finest.std, finest.autoencoder
    Tokenizer(finest.config, *parts, finest.centroids + 1).save_pretrained(tmp_path / "rate_3")
    with pytest.raises(InputError, match="together"):
        Tokenizer.from_pretrained(tmp_path)
    for rates in (2, 0, 10**9, "three", None):
        change_config(tmp_path, rates=rates)
        with pytest.raises(InputError, match="damaged"):
            Tokenizer.from_pretrained(tmp_path)
    other = replace(finest.config, audio=replace(finest.config.audio, f_min=50.0))
    with pytest.raises(InputError, match="front end"):
        RatesTokenizer([coarse, Tokenizer(other, *parts, finest.centroids)])


@pytest.mark.parametrize("how", ["none", "clip"])
def test_codes_of_log_mel_are_those_of_the_recording(how: MeanRemoval, tmp_path: Path) -> None:
    """The centroids are bottlenecks of the clip, so that its codes differ."""
    samples, plain = sweep(0.5, AUDIO.sample_rate), tiny_tokenizer(0)
    soundfile.write(tmp_path / "a.wav", samples, AUDIO.sample_rate)
    clip = Clip(path="a.wav", num_samples=len(samples), sample_rate=AUDIO.sample_rate)
    config = replace(plain.config, audio=replace(AUDIO, remove_mean=how))
    spectrogram = LogMel(config.audio)(torch.from_numpy(read(tmp_path / "a.wav", AUDIO.sample_rate).samples)[None])
    with torch.inference_mode():
        bottlenecks = plain.bottlenecks(plain.normalise(spectrogram)).flatten(0, 2)
    rows = torch.linspace(0, len(bottlenecks) - 1, len(plain.centroids)).long()
    made = Tokenizer(config, plain.mean, plain.std, plain.autoencoder, bottlenecks[rows].clone())
    made.save_pretrained(tmp_path / "tokenizer")
    encoder = Encoder(folder=tmp_path / "tokenizer", root=tmp_path)
    [coded] = encode(encoder, [View(clip)])
    frames = torch.cat([*encoder.log_mel(View(clip), encoder.tokenizer.patch_frames)])
    assert len(frames) == encoder.num_patches(View(clip), encoder.tokenizer.patch_frames) * 2
    values = encoder.tokenizer.encode_spectrogram(torch.cat([*subtract_mean([frames], how)]))
    np.testing.assert_array_equal(coded.codes.values, values.numpy())
    assert len({*values.flatten().tolist()}) > 3


def views_config(**changes: Any) -> ViewsConfig:
    return ViewsConfig(**{"offsets": True, "warps": 3, "max_speed": 0.2, "max_formants": 0.1, "seed": 0, **changes})


def _changes(name: str = "a.wav", **changes: Any) -> tuple[Change, ...]:
    clip = Clip(path=name)
    views = views_config(**changes).of(clip, 4)
    assert all(view.clip == clip for view in views)
    return tuple(view.change for view in views)


def test_the_draws_of_a_clip_stay_as_they_are() -> None:
    """Stored views and what is trained on them have them in their keys."""
    drawn = _changes("a", warps=4, dynamic_ranges=(22.0, 50.0), seed=0, max_speed=0.15, max_formants=0.15)[3:]
    known = [float(f"{change.dynamic_range:.2f}") for change in drawn if change.dynamic_range is not None]
    assert known == [47.8, 27.81, 39.53, 28.52]
    assert [change.noise_snr for change in drawn] == [None] * 4


def test_views_are_every_other_offset_and_so_many_warps() -> None:
    changes = _changes()
    assert changes[:3] == tuple(Change(offset_frames=offset) for offset in (1, 2, 3))
    assert len(changes) == 6
    assert all(1 / 1.2 <= change.speed <= 1.2 and 1 / 1.1 <= change.formants <= 1.1 for change in changes[3:])
    assert _changes(offsets=False, warps=0) == ()


def test_a_clip_is_warped_alike_whatever_else_there_is_and_draws_dynamic_ranges() -> None:
    assert _changes() == _changes()
    assert len({_changes(), _changes("b.wav"), _changes(seed=1)}) == 3
    changes = _changes(dynamic_ranges=(22.0, 50.0))
    assert [change.dynamic_range for change in changes[:3]] == [None] * 3
    drawn = [change.dynamic_range for change in changes[3:]]
    assert len(set(drawn)) == 3
    assert all(each is not None and 22 <= each <= 50 for each in drawn)
    assert tuple(replace(change, dynamic_range=None) for change in changes) == _changes()


def test_some_clips_have_another_sound_and_everything_else_is_drawn_as_without() -> None:
    ranges = {"dynamic_ranges": (22.0, 50.0)}
    clips = [Clip(path=f"{number}.wav") for number in range(400)]
    off, some = SoundChanges(**ranges), SoundChanges(changed=0.7, noise_snr=(5.0, 30.0), **ranges)
    changed = [some.input_of(clip, 3).change for clip in clips]
    assert changed == [some.input_of(clip, 3).change for clip in reversed(clips)][::-1]
    without = [replace(each, seed=None, noise_snr=None) for each in changed]
    assert without == [off.input_of(clip, 3).change for clip in clips]
    noisy = [each for each in changed if each.noise_snr is not None]
    assert len(noisy) / len(clips) == pytest.approx(0.7, abs=0.07)
    assert len({each.seed for each in noisy}) == len(noisy)
    assert all(5 <= each.noise_snr <= 30 for each in noisy)


def test_warped_copies_have_noise_and_are_warped_as_without() -> None:
    noisy = _changes(changed=1.0)
    assert [change.noise_snr is None for change in noisy] == [True] * 3 + [False] * 3
    assert tuple(replace(change, noise_snr=None, seed=None) for change in noisy) == _changes()


def test_all_copies_of_a_network_are_changed_and_draws_need_a_share_of_them() -> None:
    heard = InputAugmentationConfig(changed=0.1, dynamic_ranges=(22.0, 50.0))
    assert heard.of_copies == SoundChanges(changed=1.0, dynamic_ranges=(22.0, 50.0))
    with pytest.raises(InputError, match=r"^dynamic_ranges is .*\bnull\b"):
        InputAugmentationConfig(dynamic_ranges=(22.0, 50.0))


@pytest.mark.parametrize("option", ["dynamic_ranges", "noise_snr"])
def test_ranges_that_do_not_ascend_are_refused(option: str) -> None:
    for kind in (views_config, SoundChanges):
        with pytest.raises(InputError, match=rf"^{option} is \[50, 22\]; "):
            kind(**{option: (50.0, 22.0)})
