"""Training of the code decoder: codes in context, and their pitch, to the log-mel of the recordings.

It reads codes that are stored, so it is trained beside the language model. It leaves a tokenizer of the same codes,
which vocoders read, and everything else that makes sound of codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipelines.stages.codebooks import MAX_SECONDS
from pipelines.stages.stage_options import DecoderSettings
from pipelines.stages.voices import CodedIn
from pipelines.store.stage import StageRun, stage
from tokenizer.code_decoder import CodeDecoderNetwork, DecoderCrops, loss
from tokenizer.frame_sample import LogMelReader
from tokenizer.gain import bounded_gain
from tokenizer.parquet import read_codes
from tokenizer.tokenizer import Tokenizer
from wordless.audio.recordings.manifest import Clip, Clips, Split
from wordless.audio.spectrogram import mel_power
from wordless.base.arrays import FloatArray, IntArray
from wordless.base.messages import InputError
from wordless.base.pools import in_order
from wordless.base.threads import one_thread
from wordless.training import Examples

_VALIDATION_CROPS = 256
GAIN_SOUNDS = 200  # training sounds whose power is measured
MOST_VALIDATION = 0.1  # hours of validation clips over those of training clips


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedSounds:
    """Codes of sounds, and their log-mel as recorded."""

    codes: list[IntArray]  # of each sound (time, streams)
    frames: list[Tensor]  # log-mel (time * patch_frames, mels), normalised as codes are

    def crops(self, tokenizer: Tokenizer, reach: int, settings: DecoderSettings) -> DecoderCrops:
        """Return batches of crops of the sounds."""
        patch = tokenizer.patch_frames
        read = [tokenizer.decoder_inputs(torch.tensor(each).long()[None])[0] for each in self.codes]
        return DecoderCrops(
            codes=torch.cat(read),
            # (T * F, M) -> (T, F * M)
            patches=torch.cat([each.reshape(len(each) // patch, -1) for each in self.frames]),
            offsets=np.cumsum([0, *map(len, self.codes)]),
            reach=reach,
            crop_codes=settings.crop_codes,
            batch_size=settings.batch_size,
            seed=settings.fit.seed,
            pitch_dropout=settings.pitch_dropout,
        )


@stage(
    "code_decoder",
    title="decoder of codes in context, {settings.fit.summary}",
    splits=("train", "validation"),
)
@one_thread()
def code_decoder(run: StageRun, clips: Clips, coded: CodedIn, settings: DecoderSettings) -> None:
    """Train a decoder in one process and thread, like the autoencoder; write the tokenizer with it."""
    tokenizer = Tokenizer.from_pretrained(coded.tokenizer.folder)
    config = settings.config(tokenizer.format.codes_per_second)
    codes = {clip.name: clip.codes.values for clip in read_codes(coded.codes.folder)[1]}
    read = partial(_read, run, tokenizer, clips, codes, seed=settings.fit.seed)
    train, held_out = read("train", settings.hours), read("validation", settings.hours * MOST_VALIDATION)
    if not train.codes:
        raise InputError("no training recording is as long as one code; choose longer recordings")
    torch.manual_seed(settings.fit.seed)
    model = CodeDecoderNetwork(config, tokenizer.patch_frames * tokenizer.front_end.n_mels)
    crops = train.crops(tokenizer, config.reach, settings)
    validation = []
    if held_out.codes:
        judged = held_out.crops(tokenizer, config.reach, settings)
        validation = [judged.batch(step) for step in range(-(-_VALIDATION_CROPS // settings.batch_size))]
    seconds = tokenizer.format.samples_per_code / tokenizer.format.sample_rate
    lengths = [*map(len, train.codes)]
    examples = Examples.of_crops(lengths, settings.crop_codes, seconds, batch_size=settings.batch_size)
    run.alone().fit("tokenizer.decoder.fit", model, crops, validation, loss, settings.fit, examples)
    tokenizer.use_decoder(model.cpu())
    tokenizer.gain = _gain(tokenizer, train.codes[:GAIN_SOUNDS], train.frames[:GAIN_SOUNDS])
    tokenizer.save_pretrained(run.folder)


def _read(
    run: StageRun,
    tokenizer: Tokenizer,
    clips: Clips,
    codes: dict[str, IntArray],
    split: Split,
    hours: float,
    *,
    seed: int,
) -> CodedSounds:
    """Read the beginnings of clips of a split in random order, until they fill ``hours``."""
    own, left, chosen = clips.of(split), 3600 * hours, list[Clip]()
    for place in np.random.default_rng(seed).permutation(len(own)):
        if left <= 0:
            break
        chosen.append(own[place])
        left -= min(own[place].seconds, MAX_SECONDS)
    reader, patch = LogMelReader(root=clips.root, audio=tokenizer.front_end), tokenizer.patch_frames
    found = CodedSounds(codes=[], frames=[])
    with (
        run.terminal.working(f"log-mel of {split} clips", len(chosen), "clips") as progress,
        run.pool(gpu=False) as pool,
    ):
        log_mels = in_order(partial(_beginning, reader), chosen, pool, large=True)
        for clip, log_mel in zip(chosen, progress.each(log_mels), strict=True):
            steps = min(len(codes[clip.name]), len(log_mel) // patch)
            if steps:
                found.codes.append(codes[clip.name][:steps])
                found.frames.append(tokenizer.normalise(torch.tensor(log_mel[: steps * patch])))
    return found


def _beginning(reader: LogMelReader, clip: Clip) -> FloatArray:
    """Return the log-mel ``(time, mels)`` of the first `MAX_SECONDS` of a clip; its mean is that of the whole clip."""
    left, pieces = round(MAX_SECONDS * reader.audio.sample_rate / reader.audio.hop_length), list[FloatArray]()
    for piece in reader.pieces(clip):
        pieces.append(piece[:left].numpy())
        left -= len(piece)
        if left <= 0:
            break
    return np.concatenate([np.zeros((0, reader.audio.n_mels), np.float32), *pieces])


@torch.inference_mode()
def _gain(tokenizer: Tokenizer, codes: Sequence[IntArray], frames: Sequence[Tensor]) -> float:
    """Measure the make-up gain in dB: the power of the recordings over that of their decoded codes.

    It is less than that of `tokenizer.gain.measure_gain`, because a mean over fewer patches is smoothed less.
    """
    audio, true, decoded = tokenizer.front_end, 0.0, 0.0
    if not audio.keeps_levels:
        return 0.0
    for own, recorded in zip(codes, frames, strict=True):
        values = torch.tensor(own).long()[None]
        pair = (tokenizer.at_levels(recorded[None], values), tokenizer.spectrogram(values))
        powers = [float(mel_power(tokenizer.denormalise(each[0]), audio).double().sum()) for each in pair]
        true, decoded = true + powers[0], decoded + powers[1]
    return bounded_gain(true, decoded, audio, values=sum(each.numel() for each in frames))
