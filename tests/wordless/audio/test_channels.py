"""The channel that is read: the same in files, parts and inspection; and why a recording is silent."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.wordless.audio.conftest import Tone
from wordless.audio.decoding import Channel, ChannelPowers, RecordingError
from wordless.audio.reading import MOST_TIMES, read, read_beginning, read_blocks, resample_blocks
from wordless.audio.recordings.clips import build_manifest
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.recordings.manifest import audio_hash, read_manifest, write_manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.audio.waveform import FloatArray, Part
from wordless.base.errors import InputError

RATE = 8_000
ALL_TRAIN = SplitConfig(validation_fraction=0, test_fraction=0)


def noise(seed: int, level: float = 0.1, seconds: float = 0.5) -> FloatArray:
    samples = np.random.default_rng(seed).uniform(-level, level, round(seconds * RATE))
    return samples.astype(np.float32)


def write(path: Path, *channels: FloatArray) -> None:
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="FLOAT")


@pytest.mark.parametrize("kind", ["flac", "ogg", "wav"])
def test_each_choice_reads_its_channel(tmp_path: Path, kind: str) -> None:
    channels = [noise(1), noise(2, 0.3), noise(3)]
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, np.stack(channels, axis=1), RATE)
    there = soundfile.read(path, dtype="float32")[0]
    for channel, expected in ((0, there[:, 0]), (1, there[:, 1]), (2, there[:, 2]), ("loudest", there[:, 1])):
        assert np.array_equal(read(path, channel=channel).samples, expected)
        assert np.array_equal(read_beginning(path, RATE, 0.1, channel=channel).samples, expected[:800])
        found, rejected = inspect(tmp_path, [path.name], InspectionConfig(), channel=channel)
        assert not rejected
        assert found[path.name].peak == np.abs(expected).max()
        part = found[path.name].part(None)
        assert np.array_equal(np.concatenate([*read_blocks(path, RATE, part=part)]), expected)
    np.testing.assert_allclose(read(path).samples, there.mean(1), atol=1e-6)


def test_parts_of_several_channels_of_a_file_are_read_in_turn(tmp_path: Path) -> None:
    channels = [noise(1), noise(2)]
    for name in ("a.wav", "a.ogg"):
        soundfile.write(tmp_path / name, np.stack(channels, axis=1), RATE)
        there = soundfile.read(tmp_path / name, dtype="float32")[0]
        for start in range(0, 2_000, 500):
            for channel in (0, 1):
                part = Part(start=start, num_samples=500, channel=channel)
                blocks = [*read_blocks(tmp_path / name, RATE, part=part)]
                assert np.array_equal(np.concatenate(blocks), there[start : start + 500, channel])


@pytest.mark.parametrize("kind", ["wav", "ogg", "mp3"])
def test_parts_that_name_no_channel_have_the_chosen_one(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    soft, loud = noise(1), noise(2, 0.3)
    loud[1_000:2_000] = 0  # here the other one is louder; the loudest of the file is read all the same
    soundfile.write(path, np.stack([soft, loud], axis=1), RATE)
    for channel, number in ((0, 0), (1, 1), ("loudest", 1), ("mean", None)):
        whole = read(path, channel=channel).samples
        for start in (500, 1_000, 1_000):  # the same part again
            part, powers = Part(start=start, num_samples=1_000), ChannelPowers()
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
    write(tmp_path / "one.wav", noise(1))
    write(tmp_path / "two.wav", noise(2), noise(3))
    fit, (rejected,) = inspect(tmp_path, ["one.wav", "two.wav"], InspectionConfig(), channel=1)
    assert (list(fit), rejected.path) == (["two.wav"], "one.wav")
    assert "audio.channel=1" in rejected.reason
    fit, _ = inspect(tmp_path, ["one.wav", "two.wav"], InspectionConfig(), channel=0)
    assert list(fit) == ["one.wav", "two.wav"]
    with pytest.raises(RecordingError):
        read(tmp_path / "two.wav", channel=2)
    with pytest.raises(RecordingError):
        next(read_blocks(tmp_path / "one.wav", RATE, part=Part(start=0, num_samples=9, channel=1)))


@pytest.mark.parametrize(
    ("channels", "channel", "advice"),
    [
        ((noise(1), -noise(1)), "mean", "audio.channel=0"),
        ((0 * noise(1), noise(1), -noise(1)), "mean", "audio.channel=1"),  # the first one is silent
        ((0 * noise(1), noise(1)), 0, "audio.channel=1"),
    ],
)
def test_silence_has_its_reason(
    tmp_path: Path, channels: tuple[FloatArray, ...], channel: Channel, advice: str
) -> None:
    write(tmp_path / "a.wav", *channels)
    _, (rejected,) = inspect(tmp_path, ["a.wav"], InspectionConfig(), channel=channel)
    assert advice in rejected.reason
    for other in (int(advice[-1]), "loudest"):
        assert inspect(tmp_path, ["a.wav"], InspectionConfig(), channel=other)[0]  # type: ignore[arg-type]  # text


def test_silence_of_all_channels_has_no_advice(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", 0 * noise(1), 0 * noise(1))
    for channel in ("mean", 0, "loudest"):
        _, (rejected,) = inspect(tmp_path, ["a.wav"], InspectionConfig(), channel=channel)  # type: ignore[arg-type]
        assert "channel" not in rejected.reason


def test_channels_that_almost_cancel_are_noticed(tmp_path: Path) -> None:
    write(tmp_path / "almost.wav", noise(1), -0.95 * noise(1))
    write(tmp_path / "left.wav", noise(2), 0 * noise(2), 0 * noise(2), 0 * noise(2))  # as many microphones that are off
    write(tmp_path / "both.wav", noise(3), noise(4))
    told: list[str] = []
    config = CorpusConfig(root=str(tmp_path), split=ALL_TRAIN)
    manifest, _ = build_manifest(config, notice=told.append)
    assert len(manifest.clips) == 3
    (notice,) = told
    assert "almost.wav" in notice
    assert "`channel`=0" in notice
    build_manifest(config, channel=0, notice=told.append)
    assert len(told) == 1


def test_the_channel_belongs_to_the_sound_of_a_corpus(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        write(tmp_path / name, noise(ord(name[0])), noise(ord(name[0]) + 9))
    cache = tmp_path / "cache.jsonl"
    config = CorpusConfig(root=str(tmp_path), split=ALL_TRAIN, segment_seconds=0.25)
    hashes = set()
    for channel in ("mean", 0, 1, "loudest", 0):
        manifest, _ = build_manifest(config, channel=channel, cache=cache)  # type: ignore[arg-type]  # text
        hashes.add(audio_hash(manifest, ["train"]))
        write_manifest(manifest, tmp_path / "manifest.tsv")
        assert read_manifest(tmp_path / "manifest.tsv", manifest.root) == manifest
        for clip in manifest.clips:
            assert clip.part.channel == (None if channel == "mean" else clip.channel)
    assert len(hashes) == 4 - (1 if _loudest_is_a_number(tmp_path) else 0)


def _loudest_is_a_number(folder: Path) -> bool:
    """Whether the same channel is the loudest one of both files."""
    loudest = {int(np.square(soundfile.read(folder / name)[0]).sum(0).argmax()) for name in ("a.wav", "b.wav")}
    return len(loudest) == 1


@pytest.mark.parametrize("channel", [-1, "left", "first"])
def test_other_choices_are_refused(tmp_path: Path, channel: Channel) -> None:
    write(tmp_path / "a.wav", noise(0), noise(1))
    with pytest.raises(InputError, match="channel"):
        read(tmp_path / "a.wav", channel=channel)


@pytest.mark.parametrize("rate", [1, 10, 200])
def test_recordings_of_low_rates_are_read(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0), rate)
    manifest, _ = build_manifest(CorpusConfig(root=str(tmp_path), split=ALL_TRAIN))
    assert (manifest.clips[0].sample_rate, manifest.clips[0].num_samples) == (rate, 4_000)
    assert len(read(tmp_path / "a.wav", 2 * rate).samples) == 8_000


def test_rates_that_are_too_far_apart_are_refused_for_this_reason(tmp_path: Path, tone: Tone) -> None:
    soundfile.write(tmp_path / "low.wav", noise(0)[:500], 50)
    tone("high.wav", sample_rate=8_000)
    config = CorpusConfig(root=str(tmp_path), split=ALL_TRAIN)
    manifest, (rejected,) = build_manifest(config, sample_rate=16_000)
    assert [clip.path for clip in manifest.clips] == ["high.wav"]
    assert "50 Hz" in rejected.reason
    for reading in (
        lambda: read(tmp_path / "low.wav", 16_000),
        lambda: [*read_blocks(tmp_path / "low.wav", 16_000, part=Part(start=0, num_samples=9))],
        lambda: [*resample_blocks([noise(0)], 50, 16_000)],
    ):
        with pytest.raises(InputError, match="50 Hz"):
            reading()
    assert len(read(tmp_path / "low.wav", 50 * MOST_TIMES).samples) == 500 * MOST_TIMES
