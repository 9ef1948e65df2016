"""ABX errors of codes, bottlenecks and states of the GPT, on the phones of words that held-out voices speak."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lm.embeddings import states_over_time
from lm.judging.abx import Token, abx_errors, token_frames
from lm.model import LanguageModel
from pipelines.stages.options import ZerospeechConfig
from pipelines.stages.zerospeech import encode_utterances
from pipelines.store.session import Session
from pipelines.store.store import Entry, Recipe, write_json
from tokenizer.codes import Codes
from tokenizer.signals import quantised_vectors
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.embedded import EmbeddedConfig, read_phones, speak, speech_folder
from wordless.base.threads import one_thread

ERRORS = "abx.json"
CODES = "codes"
BORDER = "#"  # stands for the neighbour of the first and last phone
Frames = Mapping[str, npt.NDArray[Any]]  # (time, dim) by file; one row for each time step of codes


def abx(
    session: Session,
    tokens: Entry,
    model_entry: Entry,
    config: ZerospeechConfig,
    *,
    embedded: EmbeddedConfig,
    cache: Path,
    seed: int,
) -> Entry:
    """Compute the ABX error of each pair of phones and representation: ``abx.json``.

    The utterances are those of `spoken_pairs`: the made-up words give phones that stand between the same neighbours.
    There are no pairs if there is one voice, or if codes are so long that few phones have one.
    """
    asked = config.pairs(embedded).utterances
    folder = speech_folder(asked, cache, seed=config.seed, phones=True)
    inputs = {"tokenizer": tokens.key, "lm": model_entry.key, "utterances": folder.name}
    recipe = Recipe("abx", 1, config={**asdict(config), "untrained": seed}, inputs=inputs)

    @one_thread()
    def make(partial: Path) -> None:
        speak(asked, cache, seed=config.seed, phones=True)
        codes = encode_utterances(session, tokens, folder, [each.file for each in asked])
        phones, voices = read_phones(folder), {each.file: each.voice for each in asked}
        record: dict[str, object] = {"representations": [], "voices": len({*voices.values()})}
        errors: dict[str, list[float]] = {}
        for name, frames in _representations(session, tokens, model_entry, folder, codes, seed=seed):
            found = list(_tokens(phones, voices, codes, frames))
            each = abx_errors(found, "identical" if name == CODES else "angular")
            pairs = sorted({(min(pair), max(pair)) for pair in each})
            errors[name] = [float(np.mean([each[p] for p in (pair, pair[::-1]) if p in each])) for pair in pairs]
            record |= {"pairs": pairs, "phones": len({phone for pair in pairs for phone in pair}), "tokens": len(found)}
        write_json(partial / ERRORS, {**record, "representations": list(errors), "errors": errors})

    return session.obtain(recipe, f"ABX on the phones of {len(asked)} utterances", make, files=[ERRORS])


def _tokens(
    phones: Mapping[str, Sequence[tuple[str, float, float]]],
    voices: Mapping[str, str],
    codes: Mapping[str, Codes],
    frames: Frames,
) -> Iterator[Token]:
    """Give the phones in which the centre of at least one code lies."""
    for file, spoken in phones.items():
        names = [BORDER, *(name for name, _, _ in spoken), BORDER]
        for number, (phone, start, end) in enumerate(spoken):
            part = frames[file][token_frames(start, end, codes[file].format.codes_per_second)]
            if len(part):
                context = (names[number], names[number + 2])
                yield Token(phone=phone, context=context, speaker=voices[file], frames=part)


def _representations(
    session: Session, tokens: Entry, model_entry: Entry, folder: Path, codes: Mapping[str, Codes], *, seed: int
) -> Iterator[tuple[str, Frames]]:
    """Give each representation by name, one at a time.

    These are bottlenecks, the centroids of their codes, the codes themselves, and states of all layers of both GPTs.
    """
    device = str(session.gang.device)
    tokenizer = Tokenizer.from_pretrained(tokens.folder, device=device)
    yield "bottleneck", {file: _bottlenecks(tokenizer, folder / file) for file in codes}
    yield "centroids", {file: _centroids(tokenizer, clip) for file, clip in codes.items()}
    yield CODES, {file: clip.values for file, clip in codes.items()}
    gpt = LanguageModel.from_pretrained(model_entry.folder, device=device)
    untrained = LanguageModel.create(gpt.gpt.config, gpt.format, seed=seed)
    untrained.gpt.to(session.gang.device)
    for name, model in (("gpt", gpt), ("random_gpt", untrained)):
        layers = range(1, 1 + gpt.gpt.config.layers)
        states = {file: states_over_time(model, clip, layers).cpu().numpy() for file, clip in codes.items()}
        for layer in layers:
            own = slice((layer - 1) * gpt.gpt.config.model_dim, layer * gpt.gpt.config.model_dim)
            yield f"{name}/layer_{layer}", {file: each[:, own] for file, each in states.items()}


def _centroids(tokenizer: Tokenizer, codes: Codes) -> npt.NDArray[Any]:
    """Look up the vectors that codes stand for: ``(time, bands * bottleneck)``."""
    values = torch.from_numpy(codes.values).to(tokenizer.centroids.device)
    return np.asarray(tokenizer.quantised(values).flatten(1).cpu().numpy())


def _bottlenecks(tokenizer: Tokenizer, file: Path) -> npt.NDArray[Any]:
    """Compute the vectors that are quantised to codes: ``(time, streams * bottleneck)``."""
    return quantised_vectors(
        tokenizer, read(file, tokenizer.config.audio.sample_rate, channel=tokenizer.config.audio.channel).samples
    )
