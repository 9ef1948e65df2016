"""Refusals of options of a run that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.commandline.choices import EMBEDDED_SOURCE
from pipelines.settings.parallel import require_parallel
from pipelines.stages.options import OPTION, TokenizerSettings, Wav2vec2Settings
from pipelines.stages.start import LM, TOKENS, require_same_gpt, require_same_tokenizer, require_same_voice
from pipelines.tracking.tracking import require_trackers
from tokenizer.sources import ChosenLayer
from wordless.base.errors import InputError, require, within
from wordless.base.seeds import require_seeds
from wordless.base.text import listed

if TYPE_CHECKING:
    from pipelines.settings.run import RunSettings


FEATURES, LAYER = "tokenizer.features=wav2vec2", "tokenizer.feature_layer"


def require_run(settings: RunSettings) -> None:
    """Refuse options that contradict each other, or that this machine cannot follow.

    Raises:
        InputError: with the options, their values and a remedy.
    """
    tokenizer, lm, vocoder, samples = settings.tokenizer, settings.lm, settings.vocoder, settings.next_sample
    with within("tokenizer"):
        streams = tokenizer.config(settings.audio).streams
    if "next_sample" in settings.stages:
        with within("next_sample"):
            samples.require_positions()
    if settings.reads_codes:
        _require_speech_layer(settings)
        if lm.pitch == "among":
            _require_samples("lm.pitch=among reads the pitch of samples", settings)
    with within("lm.gpt"):
        lm.gpt.require_room(streams)
    with within("vocoder.crops"):
        vocoder.crops.look_ahead(vocoder.wavenet)
    if "rates" in settings.stages and tokenizer.rates is not None:
        seconds, least = settings.rates.prompt_seconds, settings.coarsest_code_seconds
        rule = f"the models of all rates read whole coarse codes, which last {least:g} s: choose {least / 2:g} or more"
        require(2 * seconds >= least, "rates.prompt_seconds", seconds, rule)
    for problem in _contradictions(settings):
        raise InputError(problem)
    if tokenizer.rates is not None and settings.trains_rates:
        with within("lm"):
            lm.divided(len(tokenizer.rates))
    if tokenizer.start is not None:
        require_same_tokenizer(tokenizer.start, tokenizer.config(settings.audio))
    if lm.start is not None:
        require_same_gpt(lm.start, lm.gpt, tokenizer)
    if vocoder.start is not None:
        require_same_voice(vocoder.start, vocoder.wavenet, settings.audio, steps=vocoder.fit.steps)
    for method in settings.probed_methods:
        method.require_options(settings)
    require_trackers(settings.tracking)
    require_parallel(settings.parallel, device=settings.device, engine=settings.engine)
    require_seeds(settings.seed, settings.seeds)


def _contradictions(settings: RunSettings) -> Iterator[str]:
    """Give what is wrong with models to begin with, rates, folds and seeds, sources of recordings, and labels."""
    tokenizer, compare, rates = settings.tokenizer, settings.compare, settings.tokenizer.rates
    for option, start in ((TOKENS, tokenizer.start), (LM, settings.lm.start)):
        if start is not None and rates is not None:
            yield (
                f"{option}={start} and tokenizer.rates={list(rates)}: a run begins with models of one rate; leave one "
                "of the options out"
            )
    sizes = settings.vocoder.codebook_sizes
    if tokenizer.start is not None and (tokenizer.features != "autoencoder" or sizes is not None):
        yield (
            f"{TOKENS}={tokenizer.start} is used as it is, and tokenizer.features={tokenizer.features} "
            f"vocoder.codebook_sizes={sizes} make codes of other kinds: choose tokenizer.features=autoencoder and "
            "vocoder.codebook_sizes=null"
        )
    if rates is None and "rates" in settings.stages:
        yield (
            "stages has rates, which compares codes at several rates, and tokenizer.rates is null: add "
            "tokenizer.rates=[8,4,2], or leave the stage out"
        )
    if rates is not None and settings.probed_methods and compare.assignments == "soft":
        yield (
            f"tokenizer.rates is {list(rates)}, and the models of several rates read hard codes: choose "
            "compare.assignments=hard or tokenizer.rates=null"
        )
    folds = f"compare.folds is {compare.folds}" if compare.folds else ""
    several = " and ".join(filter(None, (folds, f"seeds is {settings.seeds}" if settings.seeds > 1 else "")))
    for stage, remedy in (
        ("rates", "leave it out, or sweep over seeds (wordless run -m seed=0,1,2)"),
        ("vocoder", "leave it out, stages=[tokenizer,lm,probe,report]"),
    ):
        if several and stage in settings.stages:
            yield f"{several}, which trains all several times, and the stage {stage} is of one training: {remedy}"
    if folds and "next_sample" in settings.stages:
        yield (
            f"{folds}, and the stage next_sample compares models on the corpus's one split, over seeds: use "
            "compare.folds=null and seeds=3"
        )
    sources = settings.unlabelled or ()
    for source in sources:
        if source != EMBEDDED_SOURCE and source.lower() == EMBEDDED_SOURCE:
            yield f"unlabelled={source}: name a folder, such as ./{source}, or embedded (in small letters)"
        if sources.count(source) > 1:
            yield f"unlabelled names {source} twice; name each folder once"
    if (settings.probed_methods or settings.judges) and settings.corpus.label_type != "class":
        yield (
            f"corpus.label_type={settings.corpus.label_type}, but probes and judges predict classes: leave the probes "
            "out (stages=[tokenizer,lm,report]), and learn such labels with wordless finetune"
        )


def _require_samples(what: str, settings: RunSettings, *others: tuple[bool, str, str]) -> None:
    """Refuse options that read spectrograms beside codes of samples; ``others`` say whether they are refused, too."""
    probed, compare, warps = bool(settings.probed_methods), settings.compare, settings.lm.views.warps
    impossible = (
        *others,
        (warps > 0, f"lm.views.warps={warps}", "use 0: warped copies are spectrograms"),
        (probed and compare.hearings > 1, f"compare.hearings={compare.hearings}", "use 1: others are spectrograms"),
        (probed and compare.assignments == "soft", "compare.assignments=soft", "use hard"),
    )
    if refused := [f"{option} ({remedy})" for refused, option, remedy in impossible if refused]:
        raise InputError(f"{what}, so these options do not work: {listed(refused)}")


def choose_layer(tokenizer: TokenizerSettings, wav2vec2: Wav2vec2Settings) -> ChosenLayer:
    """Return the wanted layer of the model in the user's folder; by default the middle one.

    Raises:
        InputError: there is no folder, it holds no model that can be read, or the model has no such layer.
    """
    if wav2vec2.weights is None:
        raise InputError(
            f"{OPTION} is null, and {FEATURES} reads a layer of a speech model: name its local folder, such as the "
            f"folder wav2vec2 of a run that pre-trained one ({OPTION}=runs/x/wav2vec2)"
        )
    found = wav2vec2.described
    layer = max(found.layers // 2, 1) if tokenizer.feature_layer is None else tokenizer.feature_layer
    if not 1 <= layer <= found.layers:
        raise InputError(
            f"{LAYER} is {layer}, and the {found.name} model in {wav2vec2.folder} has layers 1 to {found.layers}"
        )
    return ChosenLayer(folder=wav2vec2.folder, layer=layer, width=found.width, option=OPTION)


def _require_speech_layer(settings: RunSettings) -> None:
    """Refuse a layer that cannot make the codes of a run, and options that codes of a speech model cannot follow."""
    own, hop = settings.tokenizer, settings.audio.hop_length
    if own.features == "autoencoder":
        return
    assert settings.speech_layer is not None, "other features are those of a speech model"
    found = settings.wav2vec2.described
    settings.wav2vec2.require_weights(settings.audio.sample_rate)
    if (step := own.patch.frames * hop) != (stride := found.convolutions.stride):
        whole = stride % hop == 0
        remedy = "" if whole else f"audio.hop_length={stride // 2} "
        raise InputError(
            f"{found.name} has a state for each {stride} samples, and codes have {step} (tokenizer.patch.frames="
            f"{own.patch.frames} frames of {hop} samples); set {remedy}tokenizer.patch.frames="
            f"{stride // hop if whole else 2}"
        )
    _require_samples(
        f"{FEATURES} makes codes from samples",
        settings,
        (own.rates is not None, f"tokenizer.rates={list(own.rates or ())}", "use null: a model has states at one rate"),
        (own.patch.mels is not None, f"tokenizer.patch.mels={own.patch.mels}", "use null: a state is of all mel bands"),
        (own.dynamic_ranges is not None, "tokenizer.dynamic_ranges", "use null"),
        (settings.probes("bottleneck"), "compare.methods with bottleneck", "leave it out; wav2vec2 probes the states"),
    )
