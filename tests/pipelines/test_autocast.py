"""Models give the same within ``torch.autocast``, as in the validation loop of somebody's own training."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import wordless
from lm.gpt import CodeSampling
from tests.pipelines.tiny import AUDIO, save_rates_run, sweep
from vocoder.unlearned import griffin_lim, noise
from wordless.base.devices import exact

SECONDS = 0.4
SOUND = sweep(1.0, AUDIO.sample_rate)
Work = Callable[[], np.ndarray]


def works(run: Path, rates: Path) -> dict[str, Work]:
    tokenizer = wordless.Tokenizer.from_pretrained(run / "tokenizer")
    model = wordless.LanguageModel.from_pretrained(run / "lm")
    vocoder = wordless.Vocoder.from_pretrained(run / "vocoder")
    several, of_rates = (
        wordless.Tokenizer.from_pretrained(rates / "tokenizer"),
        wordless.LanguageModel.from_pretrained(rates / "lm"),
    )
    codes, more = tokenizer.encode(SOUND, AUDIO.sample_rate), several.encode(SOUND, AUDIO.sample_rate)
    sampling = CodeSampling()
    return {
        "codes": lambda: tokenizer.encode(SOUND, AUDIO.sample_rate).values,
        "batch": lambda: tokenizer.encode_batch([SOUND, SOUND[:900]], AUDIO.sample_rate)[1].values,
        "stream": lambda: np.concatenate([each.numpy() for each, _ in tokenizer.encode_stream([SOUND])]),
        "rates": lambda: several.encode(SOUND, AUDIO.sample_rate).values,
        "spectrogram": lambda: tokenizer.spectrogram(torch.tensor(codes.values)[None]).numpy(),
        "states": lambda: model.hidden_states(codes).numpy(),
        "probabilities": lambda: model.log_probabilities(codes),
        "perplexity": lambda: np.array(model.perplexity([codes])),
        "generated": lambda: model.generate(codes, seconds=SECONDS, seed=3).values,
        "streamed": lambda: np.concatenate(
            [each.values for each in model.stream(codes, seconds=SECONDS, sampling=sampling)]
        ),
        "generated at rates": lambda: of_rates.generate(more, seconds=SECONDS, seed=3).values,
        "sound": lambda: vocoder.decode(codes, tokenizer, seed=1).samples,
        "Griffin-Lim": lambda: torch.cat([*griffin_lim(codes, tokenizer)]).numpy(),
        "noise": lambda: torch.cat([*noise(codes, tokenizer)]).numpy(),
    }


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_autocast_of_the_caller_changes_nothing(kind: torch.dtype, run_folder: Path, tmp_path: Path) -> None:
    for name, work in works(run_folder, save_rates_run(tmp_path / "rates", seed=0)).items():
        alone = work()
        with torch.autocast("cpu", dtype=kind):
            found = work()
            assert torch.is_autocast_enabled("cpu"), name
        np.testing.assert_array_equal(found, alone, err_msg=name)


def test_what_the_caller_computes_between_the_steps_of_a_generator_stays_in_its_autocast() -> None:
    @exact
    def steps() -> Iterator[torch.dtype]:
        for _ in range(3):
            yield (torch.ones(2, 2) @ torch.ones(2, 2)).dtype

    with torch.autocast("cpu", dtype=torch.bfloat16):
        for each in steps():
            assert each == torch.float32
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")
