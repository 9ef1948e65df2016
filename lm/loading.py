"""The kinds of language models, by the format of their codes: creating one, and loading the one that is in a folder."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lm.gpt import GPT, create_gpt
from lm.lm_options import LOOK_AHEAD, GPTConfig
from lm.model import LanguageModel
from lm.pitch import PitchHead, WithStreams
from lm.tokens import Vocabulary
from tokenizer.codes import CodesFormat
from wordless.base.errors import OldModelError, require
from wordless.base.machine import require_device
from wordless.base.saved_models import LANGUAGE_MODEL, holds_rates, load_network, model_folder, reading


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """The content of ``config.json``."""

    gpt: GPTConfig
    codes: CodesFormat
    look_ahead: int = LOOK_AHEAD  # of an upsampler
    pitch: PitchHead | None = None  # None: the codes have no pitch
    began_at: str | None = None
    weights_sha256: str

    def __post_init__(self) -> None:
        if self.pitch is None:
            if self.codes.pitch is not None:
                raise OldModelError("its GPT reads the pitch among the codes, and this version has it beside them")
        else:
            require(self.codes.pitch is not None, "pitch", "given", "the codes have no stream of pitch")
            self.pitch.require_width(self.gpt.model_dim)


def create_model(
    config: GPTConfig, codes_format: CodesFormat, *, seed: int, look_ahead: int = LOOK_AHEAD
) -> LanguageModel:
    """Create an untrained model; of several rates, an upsampler to the last one.

    An upsampler reads ``look_ahead`` codes after the covering one of each coarser rate.
    """
    head = None if codes_format.pitch is None else PitchHead.silent(config.model_dim)
    return _model(_network(config, codes_format, look_ahead, seed), codes_format, head)


def load_model(folder: Path | str, *, device: str = "cpu") -> LanguageModel:
    """Load the model in a folder or, as ``user/name``, on the Hugging Face hub."""
    folder = model_folder(folder, LANGUAGE_MODEL)
    name = f"the language model {folder}"
    if holds_rates(folder):
        from lm.rates import RatesModel
        from tokenizer.rate_folders import load_rates

        load = partial(load_model, device=device)
        models = load_rates(folder, LANGUAGE_MODEL.name, load, lambda each: RatesModel(each).format)
        return RatesModel(models, name=name)
    with reading(folder, LANGUAGE_MODEL, _Saved) as saved:
        create = partial(_network, saved.gpt, saved.codes, saved.look_ahead, 0)
        model = _model(load_network(create, folder, saved.weights_sha256), saved.codes, saved.pitch)
    model.name, model.began_at = name, saved.began_at
    model.gpt.to(require_device(device))
    return model


def _network(config: GPTConfig, codes: CodesFormat, look_ahead: int, seed: int) -> GPT:
    if codes.rates:
        from lm.rates import create_upsampler

        return create_upsampler(config, codes, look_ahead=look_ahead, seed=seed)
    return create_gpt(config, Vocabulary.of(codes.spectral), seed=seed)


def _model(gpt: GPT, codes: CodesFormat, head: PitchHead | None) -> LanguageModel:
    if codes.rates:
        from lm.rates import Upsampler, UpsamplerGPT

        assert isinstance(gpt, UpsamplerGPT), "of `_network`"
        return Upsampler(gpt, codes)
    return WithStreams(gpt, codes, head) if codes.beside else LanguageModel(gpt, codes)
