"""Reading: every format, rate, channel and channel count, and the same samples however the stream was cut."""

import io
import sys
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import read_whole
from tests.wordless.audio.conftest import ALL_TRAIN, Tone, corpus_config, inspected, most_bytes, train_all
from wordless.audio import decoding, reading
from wordless.audio.decoding import RecordingError
from wordless.audio.reading import read, read_beginning, read_blocks, resample_blocks
from wordless.audio.recordings.corpus import build_manifest
from wordless.audio.recordings.inspection import inspect
from wordless.audio.recordings.manifest import read_manifest, write_manifest
from wordless.audio.waveform import Part
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError

RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000)


def noise(count: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


@given(st.integers(0, 10**9), st.sampled_from(RATES), st.sampled_from(RATES))
def test_resampled_length_is_the_fewest_samples_that_cover_the_recording(count: int, old: int, new: int) -> None:
    length = reading.resampled_length(count, old, new)
    assert length * old >= count * new
    assert (length - 1) * old < count * new


@given(
    st.integers(0, 70_000),
    st.lists(st.integers(0, 70_000), max_size=8),
    st.sampled_from([(44_100, 16_000), (8_000, 16_000), (16_000, 8_000), (16_000, 16_000)]),
)
def test_a_stream_in_pieces_gives_the_samples_of_the_whole(count: int, cuts: list[int], rates: tuple[int, int]) -> None:
    samples = noise(count)
    cut = np.split(samples, sorted(min(place, count) for place in cuts))
    streamed = np.concatenate([np.empty(0, np.float32), *resample_blocks(cut, *rates)])
    assert np.array_equal(streamed, np.concatenate([np.empty(0, np.float32), *resample_blocks([samples], *rates)]))
    assert len(streamed) == reading.resampled_length(count, *rates)


@pytest.mark.parametrize("values", [100, 1 << 13, 1 << 24])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.opus"])
def test_file_stream_and_array_agree(tone: Tone, name: str, values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tone(name, seconds=0.6, sample_rate=48_000 if name == "a.opus" else 44_100, channels=2)
    whole = read(path, 16_000)
    monkeypatch.setattr(decoding, "BLOCK_VALUES", values)
    assert np.array_equal(read(path, 16_000).samples, whole.samples)
    decoded, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mixed = (decoded[:, 0] + decoded[:, 1]) / np.float32(2)
    alone = np.concatenate(list(resample_blocks([mixed], rate, 16_000)))
    if path.suffix == ".mp3":  # read by FFmpeg
        np.testing.assert_allclose(alone, whole.samples, atol=1e-6)
    else:
        assert np.array_equal(alone, whole.samples)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("sample_rate", RATES)
def test_any_rate_and_channel_count_agree_with_the_slow_reference(tone: Tone, sample_rate: int, channels: int) -> None:
    path = tone("a.wav", seconds=0.3, sample_rate=sample_rate, channels=channels)
    samples = read(path, 16_000).samples
    assert len(samples) == reading.resampled_length(round(0.3 * sample_rate), sample_rate, 16_000)
    assert np.abs(samples - read_whole(path, 16_000)).max() < 1e-6


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg"])
def test_open_files_are_read(tone: Tone, tmp_path: Path, name: str) -> None:
    path = tone(name, seconds=0.6, sample_rate=16_000, channels=2)
    whole = read(path, 8_000, channel="loudest")
    with path.open("rb") as file:
        for source in (io.BytesIO(path.read_bytes()), file):
            found = read(source, 8_000, channel="loudest")
            assert (found.sample_rate, found.samples.tolist()) == (8_000, whole.samples.tolist())
    assert read(io.BytesIO(path.read_bytes())).sample_rate == 16_000
    with pytest.raises(RecordingError, match="BytesIO"):
        read(io.BytesIO(b"no sound"))
    (tmp_path / "words.txt").write_text("no sound")
    with (tmp_path / "words.txt").open() as text, pytest.raises(InputError, match=r"words\.txt"):
        read(text)  # type: ignore[arg-type]  # text and no bytes


def test_text_is_a_path_and_rates_are_kept(tone: Tone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tone("a.wav", seconds=0.6, sample_rate=11_025, channels=2)
    own = read(path)
    assert own.sample_rate == 11_025
    assert np.array_equal(reading.resampled(own, 16_000).samples, read(path, 16_000).samples)
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.chdir(path.parent)
    tone("~nobody-of-this-name.wav").write_bytes(path.read_bytes())  # as Path, `~` is no home folder
    for same in ("~/a.wav", Path("~nobody-of-this-name.wav")):
        assert np.array_equal(read(same).samples, own.samples)
    with pytest.raises(InputError, match=r"nothing\.wav\b.*No such file"):
        read(tmp_path / "nothing.wav")


def test_memory_does_not_grow_with_a_recording_and_no_more_than_its_beginning_is_read(tone: Tone) -> None:
    path = tone("long.wav", seconds=600.0)
    with most_bytes(2_000_000):  # the whole would take 38 million
        assert sum(len(block) for block in read_blocks(path, 16_000)) == 600 * 16_000
    with most_bytes(2_000_000):
        beginning = read_beginning(path, 16_000, 3.0)
    assert beginning.seconds == 3.0
    assert np.array_equal(beginning.samples, read(path, 16_000).samples[:48_000])
    short = tone("short.wav", seconds=0.5)
    assert np.array_equal(read_beginning(short, 16_000, 3.0).samples, read(short, 16_000).samples)
    assert read_beginning(short, 16_000, 0.0).seconds == 0


def test_a_part_is_resampled_as_a_file_of_its_own(tone: Tone) -> None:
    path, part = tone("a.wav", seconds=0.6, sample_rate=44_100), Part(start=999, num_samples=20_001)
    alone = read(path, 44_100).samples[999:21_000]
    expected = np.concatenate(list(resample_blocks([alone], 44_100, 16_000)))
    assert np.array_equal(np.concatenate(list(read_blocks(path, 16_000, part=part))), expected)
    assert np.array_equal(read_beginning(path, 16_000, 0.1, part=part).samples, expected[:1_600])
    assert np.array_equal(read_beginning(path, 16_000, 3.0, part=part).samples, expected)
    assert not list(read_blocks(path, 16_000, part=Part(start=20_000, num_samples=0)))


PARTED = [
    *(("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.wav", "ULAW"), ("a.wav", "IMA_ADPCM")),
    *(("a.flac", "PCM_16"), ("a.flac", "PCM_24"), ("a.aiff", "PCM_16"), ("a.au", "ALAW"), ("a.caf", "PCM_24")),
    *(("a.w64", "DOUBLE"), ("a.rf64", "PCM_16"), ("a.ogg", None), ("a.mp3", None), ("a.opus", None)),
]


@pytest.mark.parametrize(("name", "subtype"), PARTED)
def test_parts_in_any_order_are_slices(
    tone: Tone, name: str, subtype: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "BLOCK_VALUES", 4_800)
    path = tone(name, seconds=1.5, sample_rate=48_000, channels=2, subtype=subtype)
    whole = read(path, 48_000).samples
    starts = [0, 4_801, 20_000, 20_000, 17_777, 60_001, 3, 59_000]  # on, again, overlapping, back, on
    for start in starts:
        part = Part(start=start, num_samples=9_999)
        blocks = list(read_blocks(path, 48_000, part=part))
        assert np.array_equal(np.concatenate(blocks), whole[start : start + 9_999])
        first = next(read_blocks(path, 48_000, part=part))  # a reader that wants no more
        assert np.array_equal(first, whole[start : start + len(first)])


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
def test_parts_are_read_side_by_side(tone: Tone, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK_VALUES", 800)
    path = tone(name, seconds=1.0, sample_rate=16_000)
    whole = read(path, 16_000).samples
    parts = [Part(start=start, num_samples=4_000) for start in (0, 4_000, 2_000)]
    readers = [read_blocks(path, 16_000, part=part) for part in parts]
    turns = [*zip_longest(*readers, fillvalue=np.empty(0, np.float32))]
    for number, part in enumerate(parts):
        samples = np.concatenate([turn[number] for turn in turns])
        assert np.array_equal(samples, whole[part.start : part.start + 4_000])


def test_parts_in_order_of_time_cost_one_pass_and_a_changed_file_is_read_anew(tone: Tone) -> None:
    path, opened = tone("a.ogg", seconds=2.0, sample_rate=16_000), list[str]()
    sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
    for start in range(0, 31_000, 1_000):
        list(read_blocks(path, 16_000, part=Part(start=start, num_samples=1_500)))
    assert opened.count(str(path)) == 1
    path.write_bytes(tone("b.ogg", seconds=2.0, sample_rate=16_000).read_bytes())
    blocks = list(read_blocks(path, 16_000, part=Part(start=31_000, num_samples=1_000)))
    assert np.array_equal(np.concatenate(blocks), read(path, 16_000).samples[31_000:])


def test_a_file_that_breaks_off_inside_a_part_is_named_and_not_one_behind_it(tone: Tone) -> None:
    path = tone("cut.flac", seconds=4.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for part in (Part(start=0, num_samples=32_000), Part(start=30_000, num_samples=1_000)):
        with pytest.raises(InputError, match=r"cut\.flac\b.*decoded"):
            list(read_blocks(path, 8_000, part=part))
    blocks = list(read_blocks(path, 8_000, part=Part(start=800, num_samples=1_600)))
    assert sum(map(len, blocks)) == 1_600


def test_what_no_front_end_can_hear_is_refused_wherever_it_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.append(np.full(4_000, 0.1), 1e19), 8_000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"a\.wav .*1e\+19"):
        read(tmp_path / "a.wav", 16_000)
    assert len(read_beginning(tmp_path / "a.wav", 8_000, 0.25, part=Part(start=0, num_samples=2_000)).samples) == 2_000


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        *(
            (lambda path, rate=rate: read(path, rate), r"sample_rate\b.* Hz\b.*\b1\b")
            for rate in (0, 0.5, "8000", True)
        ),
        *((lambda path, channel=channel: read(path, channel=channel), "channel") for channel in (-1, "left", 2)),
        (lambda path: Part(start=-1, num_samples=5), r"-1\b.*\b0 samples"),
        (lambda path: Part(start=0, num_samples=-1), r"-1\b.*\b0 samples"),
    ],
)
def test_impossible_rates_channels_and_parts_are_refused(tone: Tone, ask: Callable[[Path], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ask(tone("a.wav", channels=2))


RATE = 8_000


def noise_of(seed: int, level: float = 0.1) -> FloatArray:
    return np.random.default_rng(seed).uniform(-level, level, RATE // 2).astype(np.float32)


def write(path: Path, *channels: FloatArray) -> None:
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="FLOAT")


@pytest.mark.parametrize("kind", ["flac", "ogg", "wav"])
def test_each_choice_reads_its_channel(tmp_path: Path, kind: str) -> None:
    channels = [noise_of(1), noise_of(2, 0.3), noise_of(3)]
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, np.stack(channels, axis=1), RATE)
    there = soundfile.read(path, dtype="float32")[0]
    for channel, expected in ((0, there[:, 0]), (1, there[:, 1]), (2, there[:, 2]), ("loudest", there[:, 1])):
        assert np.array_equal(read(path, channel=channel).samples, expected)
        assert np.array_equal(read_beginning(path, RATE, 0.1, channel=channel).samples, expected[:800])
        found, rejected = inspected(tmp_path, channel=channel)
        assert not rejected
        assert found[path.name].peak == np.abs(expected).max()
        part = found[path.name].part(None)
        assert np.array_equal(np.concatenate([*read_blocks(path, RATE, part=part)]), expected)
    np.testing.assert_allclose(read(path).samples, there.mean(1), atol=1e-6)


@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3"])
def test_parts_that_name_no_channel_have_the_chosen_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    soft, loud = noise_of(1), noise_of(2, 0.3)
    loud[1_000:2_000] = 0  # here the other one is louder; the loudest of the file is read all the same
    soundfile.write(path, np.stack([soft, loud], axis=1), RATE)
    for channel, number in ((0, 0), (1, 1), ("loudest", 1), ("mean", None)):
        whole = read(path, channel=channel).samples
        for start in (500, 1_000, 1_000):  # the same part again
            part, powers = Part(start=start, num_samples=1_000), reading.ChannelPowers()
            blocks = [*read_blocks(path, RATE, part=part, channel=channel, powers=powers)]
            assert np.array_equal(np.concatenate(blocks), whole[start : start + 1_000])
            assert powers.sample_rate == RATE
            assert powers.loudest == (1 if start == 500 else 0)
        named = Part(start=0, num_samples=9, channel=1)
        if number == 0:
            with pytest.raises(InputError):
                next(read_blocks(path, RATE, part=named, channel=channel))
        else:
            assert len(next(read_blocks(path, RATE, part=named, channel=channel))) == 9


def test_a_file_without_the_channel_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path / "one.wav", noise_of(1))
    write(tmp_path / "two.wav", noise_of(2), noise_of(3))
    fit, (rejected,) = inspected(tmp_path, channel=1)
    assert (list(fit), rejected.path) == (["two.wav"], "one.wav")
    assert "audio.channel=1" in rejected.reason
    with pytest.raises(RecordingError):
        next(read_blocks(tmp_path / "one.wav", RATE, part=Part(start=0, num_samples=9, channel=1)))


@pytest.mark.parametrize(
    ("channels", "channel", "advice"),
    [
        ((noise_of(1), -noise_of(1)), "mean", "audio.channel=0"),
        ((0 * noise_of(1), noise_of(1), -noise_of(1)), "mean", "audio.channel=1"),  # the first one is silent
        ((0 * noise_of(1), noise_of(1)), 0, "audio.channel=1"),
    ],
)
def test_silence_has_reasons(
    tmp_path: Path, channels: tuple[FloatArray, ...], channel: reading.Channel, advice: str
) -> None:
    write(tmp_path / "a.wav", *channels)
    write(tmp_path / "dead.wav", 0 * noise_of(1), 0 * noise_of(1))
    _, (silent, dead) = inspected(tmp_path, channel=channel)
    assert advice in silent.reason
    assert "channel" not in dead.reason  # where all channels are silent, no other one is advised
    for other in (int(advice[-1]), "loudest"):
        assert [*inspected(tmp_path, channel=other)[0]] == ["a.wav"]


def test_channels_that_almost_cancel_are_noticed(tmp_path: Path) -> None:
    off = 0 * noise_of(2)
    write(tmp_path / "almost.wav", noise_of(1), -0.95 * noise_of(1))
    write(tmp_path / "left.wav", noise_of(2), off, off, off)  # as many microphones that are off
    write(tmp_path / "both.wav", noise_of(3), noise_of(4))
    manifest, _ = train_all(tmp_path)
    assert len(manifest.clips) == 3
    (notice,) = manifest.notices
    assert all(each in notice for each in ("almost.wav", "audio.channel=0"))
    config = corpus_config(tmp_path, split=ALL_TRAIN)
    assert not build_manifest(config, inspector=partial(inspect, channel=0))[0].notices


def test_the_channel_belongs_to_the_sound_of_a_corpus(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise_of(1), noise_of(2, 0.3))
    config = corpus_config(tmp_path, split=ALL_TRAIN, segment_seconds=0.25)
    hashes = []
    for channel in ("mean", 0, 1, "loudest", 0):
        inspector = partial(inspect, channel=channel, cache=tmp_path / "cache.jsonl")
        manifest, _ = build_manifest(config, inspector=inspector)
        hashes.append(manifest.key)
        write_manifest(manifest, tmp_path / "manifest.tsv")
        assert read_manifest(tmp_path / "manifest.tsv", manifest.root) == manifest
    assert len({*hashes}) == 3
    assert (hashes[2], hashes[1]) == (hashes[3], hashes[4])  # the second channel is the loudest


def test_rates_that_are_too_far_apart_are_refused_for_this_reason(tmp_path: Path, tone: Tone) -> None:
    soundfile.write(tmp_path / "low.wav", noise_of(0)[:500], 50)
    tone("high.wav", sample_rate=8_000)
    fit, (rejected,) = inspected(tmp_path, sample_rate=16_000)
    assert [*fit] == ["high.wav"]
    assert "50 Hz" in rejected.reason
    for read_low in (
        lambda: read(tmp_path / "low.wav", 16_000),
        lambda: [*read_blocks(tmp_path / "low.wav", 16_000, part=Part(start=0, num_samples=9))],
        lambda: [*resample_blocks([noise_of(0)], 50, 16_000)],
    ):
        with pytest.raises(InputError, match="50 Hz"):
            read_low()
    assert len(read(tmp_path / "low.wav", 50 * reading.MOST_TIMES).samples) == 500 * reading.MOST_TIMES
