"""Crops that a vocoder learns from, and the frames that codes stand for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.tiny import AUDIO, tiny_tokenizer
from tests.vocoder.sounds import (
    PATCH_FRAMES,
    SAMPLES_PER_CODE,
    SPECTROGRAM,
    Table,
    random_decoder,
    random_table,
    tiny_config,
    vocoder_clips,
)
from vocoder.crops import NOT_COUNTED, Crops, CropsConfig, VocoderClips, loss
from vocoder.frames import code_frames, mean_level
from vocoder.vocoder_options import PITCH_INPUTS
from vocoder.wavenet import create_wavenet, mu_law_encode, silence
from wordless.base.messages import InputError


def numbered(lengths: list[int]) -> VocoderClips:
    """Clips of random samples; code c's patch is filled with c + 1, so that a spectrogram tells its codes."""
    samples = np.random.default_rng(0).integers(-30_000, 30_000, sum(lengths))
    count = sum(-(-length // SAMPLES_PER_CODE) for length in lengths)
    patches = torch.arange(1.0, count + 1)[:, None, None].expand(-1, PATCH_FRAMES, SPECTROGRAM.n_mels)
    return vocoder_clips(samples, np.arange(count)[:, None], Table(patches), lengths)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 1200), min_size=1, max_size=5), st.integers(0, 50), st.integers(0, 2), st.integers(4, 6))
def test_targets_are_the_samples_of_their_codes(lengths: list[int], step: int, context: int, crop: int) -> None:
    clips = numbered(lengths)
    config = CropsConfig(batch_size=3, crop_codes=crop, context_codes=context)
    batch = Crops(clips, tiny_config(), config).batch(step)
    for row in range(3):
        codes = batch.spectrogram[row, ::PATCH_FRAMES, 0].long() - 1
        codes = codes[codes >= 0]
        clip = int(np.searchsorted(clips.code_offsets, int(codes[0]), side="right")) - 1
        start, stop = (int(code) - int(clips.code_offsets[clip]) for code in (codes[0], codes[-1] + 1))
        levels = mu_law_encode(torch.from_numpy([*clips.sound.sounds][clip] / 32768))
        begin, end = start * SAMPLES_PER_CODE, min(stop * SAMPLES_PER_CODE, len(levels))
        first = 0 if start == 0 else context * SAMPLES_PER_CODE
        last = end - begin - (0 if stop * SAMPLES_PER_CODE >= len(levels) else SAMPLES_PER_CODE)
        assert torch.equal(batch.targets[row, first:last], levels[begin + first : begin + last])
        assert bool((batch.targets[row, :first] == NOT_COUNTED).all())
        assert bool((batch.targets[row, last:] == NOT_COUNTED).all())
        before = torch.cat([torch.tensor([silence()]), levels])[begin:end]
        assert torch.equal(batch.previous[row, : end - begin], before)


@pytest.mark.parametrize("turns", [None, np.array([4, 7, 2])])
def test_parts_together_are_the_whole(turns: np.ndarray | None) -> None:
    crops = Crops(numbered([900, 2000, 160]), tiny_config(), CropsConfig(batch_size=4, crop_codes=6), turns=turns)
    model = create_wavenet(tiny_config(), seed=0)
    whole, count = loss(model, crops.batch(7))
    parts = [loss(model, crops.batch(7, part, 4)) for part in range(4)]
    assert sum(own for _, own in parts) == count
    torch.testing.assert_close(sum(total for total, _ in parts), whole)


def test_groups_take_turns_and_weigh_the_same_whatever_the_length_of_their_clips() -> None:
    lengths, groups = [9000, 300, 200, 700], np.array([4, 7, 7, 2])
    clips = numbered(lengths)
    crops = Crops(clips, tiny_config(), CropsConfig(batch_size=4, crop_codes=6), turns=groups)
    model, found = create_wavenet(tiny_config(), seed=0), dict[int, list[float]]()
    torch.nn.init.normal_(model.output.bias)  # losses of crops differ
    with torch.no_grad():
        for step in range(3):  # 12 crops, 4 of each group
            batch = crops.batch(step)
            logits = model(batch.previous, batch.spectrogram, batch.groups).log_softmax(dim=1)
            for row, targets in enumerate(batch.targets):
                counted = targets != NOT_COUNTED
                own = -logits[row].T[counted].gather(1, targets[counted, None]).mean()
                first = int(batch.spectrogram[row, 0, 0]) - 1
                clip = int(np.searchsorted(clips.code_offsets, first, side="right")) - 1
                found.setdefault(int(groups[clip]), []).append(float(own))
        sums = [loss(model, crops.batch(step)) for step in range(3)]
    assert {group: len(each) for group, each in found.items()} == {2: 4, 4: 4, 7: 4}
    mean = sum(float(total) for total, _ in sums) / sum(count for _, count in sums)
    assert mean == pytest.approx(np.mean([np.mean(each) for each in found.values()]), rel=1e-5)


def test_group_dropout_withholds_its_share() -> None:
    config = CropsConfig(batch_size=400, crop_codes=4, group_dropout=0.25)
    batch = Crops(numbered([5000]), tiny_config(), config).batch(0)
    assert set(batch.groups.tolist()) == {-1, 0}
    assert 60 < int((batch.groups == -1).sum()) < 140


@pytest.mark.parametrize(("mels", "in_context"), [(None, False), (8, False), (None, True)])
def test_conditions_are_those_of_the_crops_codes(mels: int | None, *, in_context: bool) -> None:
    """Looked up in a table of all codes, or decoded where a patch has several, or where others change it."""
    tokenizer = tiny_tokenizer(0, mels=mels)
    if in_context:
        tokenizer.use_decoder(random_decoder(tokenizer.patch_frames * AUDIO.n_mels))
    book = tokenizer.format
    config = tiny_config(sample_rate=AUDIO.sample_rate, hop_length=AUDIO.hop_length, n_mels=AUDIO.n_mels)
    codes = np.random.default_rng(0).integers(book.codebook_size, size=(13, book.streams), dtype=np.int32)
    lengths = [count * book.samples_per_code for count in (8, 5)]
    clips = vocoder_clips(np.zeros(sum(lengths)), codes, tokenizer, lengths)
    batch = Crops(clips, config, CropsConfig(batch_size=6, crop_codes=8)).batch(0)
    with torch.no_grad():
        whole = [code_frames(torch.from_numpy(own).long()[None], tokenizer, config)[0] for own in np.split(codes, [8])]
    padded = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True)
    assert {[torch.equal(row, each) for each in padded].index(True) for row in batch.spectrogram} == {0, 1}


def test_crops_within_a_clip_are_decoded_with_the_codes_around_them() -> None:
    tokenizer = tiny_tokenizer(0)
    tokenizer.use_decoder(random_decoder(tokenizer.patch_frames * AUDIO.n_mels))
    config = tiny_config(sample_rate=AUDIO.sample_rate, hop_length=AUDIO.hop_length, n_mels=AUDIO.n_mels)
    codes = np.random.default_rng(0).integers(tokenizer.format.codebook_size, size=(90, 1), dtype=np.int32)
    length = 90 * tokenizer.format.samples_per_code
    clips = vocoder_clips(np.zeros(length), codes, tokenizer, [length])
    batch = Crops(clips, config, CropsConfig(batch_size=20, crop_codes=7)).batch(0)
    with torch.no_grad():
        whole = code_frames(torch.from_numpy(codes).long()[None], tokenizer, config)[0]
    windows = {
        bytes(each.numpy()) for each in whole.unfold(0, 7 * tokenizer.patch_frames, 1).transpose(1, 2).contiguous()
    }
    assert all(bytes(row.numpy()) in windows for row in batch.spectrogram)


def test_noise_is_added_to_the_samples_that_are_heard_and_not_to_those_to_learn() -> None:
    clips = numbered([3000, 400])
    quiet, noisy, again = (
        Crops(clips, tiny_config(), CropsConfig(batch_size=80, crop_codes=8, input_noise=noise)).batch(0)
        for noise in (0.0, 3.0, 3.0)
    )
    assert torch.equal(noisy.previous, again.previous)
    assert torch.equal(noisy.targets, quiet.targets)
    assert torch.equal(noisy.spectrogram, quiet.spectrogram)
    levels = tiny_config().levels
    inside = (quiet.previous > 12) & (quiet.previous < levels - 12)  # where nothing is cut off
    added = [each[here].float() for each, here in zip(noisy.previous - quiet.previous, inside, strict=True)]
    deviations = torch.stack([each.std() for each in added])  # of each crop
    assert 15 < int((deviations == 0).sum()) < 45
    assert 2.5 < float(deviations.max()) < 3.4
    assert abs(float(torch.cat(added).mean())) < 0.1
    assert noisy.previous.min() >= 0
    assert noisy.previous.max() < levels


VALUES = torch.tensor([[[3], [0], [11]]])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: Crops(numbered([500]), tiny_config(), CropsConfig(crop_codes=3, context_codes=2)),
            r"crop_codes\b.*\b4\b",
        ),
        (lambda: Crops(numbered([500]), tiny_config(), CropsConfig()).batch(0, 0, 3), r"batch_size\b.*\b8\b"),
        (lambda: code_frames(VALUES, random_table(), tiny_config(condition="none")), r"\bcondition\b.*\bmeaning\b"),
    ],
)
def test_what_cannot_be_cropped_is_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


def test_frames_are_what_the_codes_mean_and_their_level_is_without_the_pitch() -> None:
    table = random_table()
    assert torch.equal(code_frames(VALUES, table, tiny_config()), table.spectrogram(VALUES))
    frames = torch.full((4, SPECTROGRAM.n_mels + PITCH_INPUTS), -2.0)
    frames[:, SPECTROGRAM.n_mels :] = 100
    assert mean_level(frames, tiny_config(pitch=True)) == -2
    assert mean_level(torch.ones(4, 0), tiny_config(condition="none")) == 0


def test_a_clip_does_not_depend_on_what_is_beyond_its_end() -> None:
    conditions = create_wavenet(tiny_config(), seed=0).eval().conditions
    frames = code_frames(VALUES, random_table(), conditions.config)
    longer = torch.nn.functional.pad(frames, (0, 0, 0, 4))
    torch.testing.assert_close(conditions(longer)[:, : frames.shape[1]], conditions(frames))
