import gc
from collections.abc import Iterator
from typing import Literal

import pytest
import torch

from tests.reference import generated_by_the_parallel_model
from tests.vocoder.sounds import SPECTROGRAM, tiny_config
from vocoder import generation
from vocoder.generation import GenerationInput, generate, generate_blocks
from vocoder.sampling import Sampling
from vocoder.wavenet.network import WaveNet, create_wavenet
from wordless.base.errors import InputError

HOP = SPECTROGRAM.hop_length


def lively(**changes: object) -> WaveNet:
    """A network whose levels differ in probability, so that a wrong logit shows in the samples."""
    model = create_wavenet(tiny_config(levels=32, groups=("ann", "bob"), **changes), seed=0)
    torch.nn.init.normal_(model.output.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    return model.eval()


def clip(frames: int, seed: int, group: int = -1) -> GenerationInput:
    spectrogram = torch.randn(frames, SPECTROGRAM.n_mels, generator=torch.Generator().manual_seed(seed))
    return GenerationInput(spectrogram=spectrogram, group=group, seed=seed)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_samples_equal_the_parallel_model_on_the_growing_sequence(temperature: float) -> None:
    model, inputs = lively(), [clip(2, 3, group=1), clip(3, 4)]
    generated = generate(model, inputs, sampling=Sampling(temperature=temperature), engine="numba")
    for levels, one in zip(generated, inputs, strict=True):
        assert levels.tolist() == generated_by_the_parallel_model(model, one, temperature)


def test_chunks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = lively(), [clip(3, 3, group=1), clip(5, 4)]
    whole = generate(model, inputs, engine="numba")
    monkeypatch.setattr(generation, "CHUNK_FRAMES", 2)
    for levels, one, unchunked in zip(generate(model, inputs, engine="numba"), inputs, whole, strict=True):
        assert torch.equal(levels, unchunked)
        assert levels.tolist() == generated_by_the_parallel_model(model, one, 1.0)


def bytes_of_tensors() -> int:
    """Of all plain tensors there are. By their exact type: other tests leave weak proxies behind, which may be dead."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    return sum(
        {storage.data_ptr(): storage.nbytes() for storage in map(torch.Tensor.untyped_storage, tensors)}.values()
    )


def test_company_does_not_change_a_clip() -> None:
    model, inputs = lively(), [clip(frames, seed) for seed, frames in enumerate([1, 3, 2, 6, 1, 4, 2, 2, 5, 3])]
    together = generate(model, inputs)
    assert [len(levels) for levels in together] == [len(one.spectrogram) * HOP for one in inputs]
    for levels, one in zip(together, inputs, strict=True):
        assert torch.equal(levels, generate(model, [one])[0])


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    clips = [clip(frames, 0) for frames in (12, 5)]  # one group for this engine, with any number of threads
    generate(lively(), clips, engine="torch", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(960, 960)]


def test_nothing_in_nothing_out() -> None:
    assert generate(lively(), []) == []
    assert [len(levels) for levels in generate(lively(), [clip(0, 0), clip(1, 0)])] == [0, HOP]


def test_memory_of_a_stream_does_not_grow() -> None:
    model = lively()

    def blocks(count: int) -> Iterator[torch.Tensor]:
        for _ in range(count):
            yield torch.zeros(16, SPECTROGRAM.n_mels)

    seen = [bytes_of_tensors() for _ in generate_blocks(model, blocks(24))]
    assert len(seen) == 6
    assert max(seen) - min(seen) < 64 * HOP * 4  # less than the levels of one chunk


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_a_prompt_is_what_a_clip_begins_with(engine: Literal["torch", "numba"]) -> None:
    model, prompt = lively(), torch.randint(32, (HOP + 9,), generator=torch.Generator().manual_seed(1))
    one = GenerationInput(spectrogram=clip(3, 0).spectrogram, seed=5, prompt=prompt)
    levels = generate(model, [one, clip(2, 1)], engine=engine)[0]
    assert torch.equal(levels[: len(prompt)], prompt.to(torch.int32))
    assert torch.equal(levels, generate(model, [one], engine=engine)[0])
    assert not torch.equal(levels, generate(model, [GenerationInput(spectrogram=one.spectrogram, seed=5)])[0])


@pytest.mark.parametrize("level", [-2, 32])
def test_refuses_a_prompt_of_other_levels(level: int) -> None:
    prompt = torch.tensor([3, level])
    with pytest.raises(InputError, match=r"vocoder\b.*\b0\b.*\b31\b"):
        generate(lively(), [GenerationInput(spectrogram=clip(3, 0).spectrogram, prompt=prompt)])
    with pytest.raises(InputError, match=r"vocoder\b.*\b0\b.*\b31\b"):
        next(generate_blocks(lively(), [clip(3, 0).spectrogram], prompt=prompt))


@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_top_p_leaves_the_most_probable_levels(engine: Literal["torch", "numba"]) -> None:
    model = create_wavenet(tiny_config(levels=4), seed=0).eval()
    torch.nn.init.zeros_(model.output.weight)
    model.output.bias.data = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    clips, sampling = [clip(12, seed) for seed in range(8)], Sampling(temperature=1, top_p=0.65)
    levels = torch.cat(generate(model, clips, sampling=sampling, engine=engine))
    shares = levels.bincount(minlength=4) / len(levels)
    torch.testing.assert_close(shares, torch.tensor([0.0, 0.0, 3 / 7, 4 / 7]), atol=0.02, rtol=0)


def test_refuses_a_negative_seed_before_anything_sounds() -> None:
    with pytest.raises(InputError, match=r"seed\b.*-1\b.*\b0\b.*\b4294967295\b"):
        generate(lively(), [GenerationInput(spectrogram=clip(1, 0).spectrogram, seed=-1)])
    with pytest.raises(InputError, match=r"seed\b.*-1\b.*\b0\b.*\b4294967295\b"):
        next(generate_blocks(lively(), [clip(1, 0).spectrogram], sampling=Sampling(seed=-1)))
