"""Options of training batches of clips, and of their random changes, without PyTorch."""

from dataclasses import dataclass

from wordless.base.options import Options, option


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(Options):
    """Strength of the augmentations; every amount is drawn anew for each clip. Zeros change nothing."""

    crop: float = option(0.6, "smallest share of a clip that is kept", above=0, most=1)
    speed: float = option(0.25, "largest change of speed: 0.25 is 25 % faster, or slower by the same factor", least=0)
    formant: float = option(
        0.25, "largest shift of the mel bands: 0.25 is 25 % higher, or lower by the same factor", least=0
    )
    gain_db: float = option(6.0, "largest change of level in dB", least=0)
    mix: float = option(0.3, "share of clips to which another clip is added", least=0, most=1)
    mix_db: float = 10.0  # smallest level difference in dB by which the added clip is softer
    noise: float = option(
        0.2, "largest standard deviation of the added noise, in standard deviations of each mel band", least=0
    )
    time_masks: int = option(1, "number of time masks", least=0)
    time_mask: float = 0.2  # longest time mask as a share of the clip
    mel_masks: int = option(1, "number of mel masks", least=0)
    mel_mask: float = 0.2  # widest mel mask as a share of the bands
    blocks: int = option(0, "number of removed rectangles of time and bands", least=0)
    block: float = option(0.3, "largest sides of a rectangle as shares of the clip and of the bands", least=0, most=1)
    blur: float = option(0.0, "largest standard deviation of a Gaussian blur, in frames and in mel bands", least=0)
    time_flip: float = option(0.0, "share of clips that are reversed in time", least=0, most=1)
    mel_flip: float = option(0.0, "share of clips whose mel bands are reversed", least=0, most=1)


@dataclass(frozen=True, kw_only=True)
class WaveformAugmentationConfig(Options):
    """Strength of the augmentations; every amount is drawn anew for each clip. Zeros change nothing."""

    crop: float = 0.9  # smallest share of a clip that is kept
    rate: float = option(
        0.25,
        "largest change of the playing rate: 0.25 is 25 % slower and lower, or faster and higher by the same factor",
        least=0,
        most=1,
    )
    mix: float = 0.2  # share of clips to which another clip is added
    mix_db: float = 10.0  # smallest level difference in dB by which the added clip is softer
    noise: float = option(0.1, "largest level of added white noise, relative to the level of the clip", least=0)
    time_masks: int = 1  # number of silenced passages
    time_mask: float = 0.1  # longest silenced passage as a share of the clip


@dataclass(frozen=True, kw_only=True)
class ClipsOfBatches(Options):
    """Options that training batches of all kinds have."""

    batch_size: int = option(32, "clips per step, over all processes", least=2)
    # number of batches whose clips are sorted by length together, which saves padding; 1: no sorting
    pool_batches: int = 4
    seed: int = 0  # seed of the order of clips


@dataclass(frozen=True, kw_only=True)
class ClipBatchConfig(ClipsOfBatches):
    """Options of training batches of spectrograms."""

    batch_size: int = 96
    max_frames: int = option(
        300, "longest piece of a clip in frames; a random piece is cut from a longer clip", least=1
    )

    def share(self, part: int, parts: int) -> slice:
        """Return part ``part`` of ``parts`` of a batch; refuse a batch that cannot be divided equally."""
        rule = f"{parts} (processes times accumulation steps) share it: choose a multiple of {parts}"
        self.refuse_if(self.batch_size % parts, "batch_size", rule)
        return slice(part, None, parts)


@dataclass(frozen=True, kw_only=True)
class WaveformBatchConfig(ClipsOfBatches):
    """Options of training batches of waveforms."""

    max_seconds: float = option(
        3.0, "longest piece of a clip in seconds; a random piece is cut from a longer clip", above=0
    )

    def at_rate(self, sample_rate: float) -> ClipBatchConfig:
        """Return the options of batches in which a frame is a sample."""
        samples = max(round(self.max_seconds * sample_rate), 1)
        return ClipBatchConfig(
            batch_size=self.batch_size, max_frames=samples, pool_batches=self.pool_batches, seed=self.seed
        )
