"""The settings of a run, built from a config, and refusals of options that contradict each other."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial, reduce
from typing import Any, TypeVar

from pipelines.methods.methods_table import METHODS
from pipelines.plugins.table import plugins
from pipelines.settings.run_settings import (
    EMBEDDED,
    EMBEDDED_SOURCE,
    LEVEL_NEEDS,
    OF_TRAININGS,
    RunSettings,
    reads_codes,
    require_one_training,
    with_embedded_corpus,
)
from pipelines.settings.steps import fill_in_steps
from pipelines.stages.codebooks import require_same_tokenizer
from pipelines.stages.language_model import require_same_gpt
from pipelines.stages.stage_options import SPEECH_FEATURES, STEPS_FROM_SHIPPED
from pipelines.stages.voices import NONE, UNIVERSAL, is_shipped, require_same_voice, saved_vocoder, shipped_voice
from pipelines.store.start_models import LM, TOKENS
from tokenizer.tokenizer_config import TokenizerConfig
from vocoder.vocoder_options import WaveNetConfig
from wordless.audio.audio_options import AudioSettings, SpectrogramConfig
from wordless.base.messages import InputError, listed, within
from wordless.base.options import Options, build, follow
from wordless.base.saved_models import local_weights
from wordless.base.seeds import require_seeds
from wordless.training.fit import Gang, meanings_on

OptionsOf = TypeVar("OptionsOf", bound=Options)


def run_settings(config: Mapping[str, object], gang: Gang | None = None) -> RunSettings:
    """Build the settings from a completed config, once; without root and table the corpus is the embedded one.

    ``gang`` says what ``precision=auto`` means on its devices; None: it is left open.
    """
    values = with_embedded_corpus(config)
    for name in ("stages", "unlabelled"):  # a single value needs no brackets
        if isinstance(values[name], str):
            values[name] = [values[name]]
    _set_sizes(values)
    _set_voice(values["vocoder"], values)
    fill_in_steps(values)
    _set_local_weights(values)
    own = {each.name: build(each.options, values.pop(each.name, {}), name=each.name) for each in plugins()}
    settings = build(RunSettings, values, name="", settle=partial(_settled, own=own, gang=gang))
    with within("tokenizer"):
        tokens = settings.tokenizer.config(settings.audio)
    require_run(settings, tokens)
    return settings


def _settled(values: dict[str, Any], *, own: Mapping[str, Options], gang: Gang | None) -> dict[str, Any]:
    """Return the options of a run with those that follow from others, and with the options of plugins, ``own``."""

    def settle(options: OptionsOf) -> OptionsOf:
        return follow(options, meanings, **shared)

    meanings = {} if gang is None else meanings_on(gang)
    shared, found = {name: values[name] for name in OF_TRAININGS}, dict(values)
    for name, value in values.items():
        if isinstance(value, Options):
            with within(name):
                found[name] = settle(value)
    found["plugins"] = dict[str, Options]()
    for name, options in own.items():
        with within(name):
            found["plugins"][name] = settle(options)
    stages: tuple[str, ...] = values["stages"]
    if "report" in stages and reads_codes(stages) and not values["compare"].folds and values["seeds"] == 1:
        found["stages"] = tuple(dict.fromkeys((*stages, *(each.name for each in plugins() if each.of_report))))
    return found


def _set_sizes(values: dict[str, Any]) -> None:
    """Set the front end's window and hop in samples, and its values in networks of samples."""
    audio = build(AudioSettings, values["audio"], name="audio")
    with within("audio"):
        spectrogram = audio.spectrogram()
    values["audio"] = asdict(spectrogram)
    sizes = {name: getattr(spectrogram, name) for name in ("sample_rate", "hop_length", "n_mels")}
    values["vocoder"]["wavenet"].update(sizes, patch_frames=values["tokenizer"]["patch"]["frames"])
    for each in plugins():
        if each.fill:
            each.fill(values[each.name], spectrogram)


def _set_local_weights(values: dict[str, Any]) -> None:
    """Replace addresses of the Hugging Face hub in all options ``weights`` by local copies."""
    for name, value in values.items():
        if isinstance(value, dict):
            _set_local_weights(value)
        elif name == "weights" and value is not None:
            values[name] = local_weights(value)


def _set_voice(vocoder: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set the vocoder's start weights, if those that ship serve it, with its pitch and its steps."""
    start = None if vocoder["start"] == NONE else vocoder["start"]
    if start == UNIVERSAL:
        start = None
        if "vocoder" in values["stages"]:
            network = build(WaveNetConfig, vocoder["wavenet"], name="vocoder.wavenet")
            found = shipped_voice(network, build(SpectrogramConfig, values["audio"], name="audio"))
            if isinstance(found, str):
                vocoder["unfit"] = found
            else:
                start = str(found)
    vocoder["start"] = start
    if vocoder["wavenet"]["pitch"] is None:
        vocoder["wavenet"]["pitch"] = start is not None and bool(saved_vocoder(start).wavenet.pitch)
    if vocoder["fit"]["steps"] is None:  # the weights that ship know the voices of the built-in corpus
        ready = start is not None and is_shipped(start) and values["corpus"]["root"] == EMBEDDED
        if ready:
            vocoder["fit"]["steps"] = STEPS_FROM_SHIPPED


def require_run(settings: RunSettings, tokens: TokenizerConfig) -> None:
    """Refuse options that contradict each other, or that this machine cannot follow."""
    tokenizer, lm, vocoder = settings.tokenizer, settings.lm, settings.vocoder
    if settings.reads_codes:
        _require_speech_layer(settings)
    with within("lm.gpt"):
        lm.gpt.require_room(tokens.bands)
    with within("vocoder.crops"):
        vocoder.crops.look_ahead(vocoder.wavenet)
    for plugin in settings.chosen:
        plugin.require(settings)
    for problem in _contradictions(settings):
        raise InputError(problem)
    if tokenizer.rates is not None and settings.trains_rates:
        with within("lm"):
            lm.divided(len(tokenizer.rates))
    if tokenizer.start is not None:
        require_same_tokenizer(tokenizer.start, tokens)
    if lm.start is not None:
        require_same_gpt(lm.start, lm.gpt, codebook_size=tokenizer.codebook_size)
    if vocoder.start is not None:
        require_same_voice(vocoder.start, vocoder.wavenet, settings.audio, steps=vocoder.fit.steps)
    for method in settings.probed_methods:
        if method.kind != "untrained":
            settings.backbone(method).require_weights(settings.audio.sample_rate)
        if method.rate > len(rates := tokenizer.rates or ()):
            rule = f"tokenizer.rates is {list(rates) or 'null'}: name rates, such as [8,4,2], or leave the method out"
            raise InputError(f"compare.methods has {method.name}: {rule}")
    if (settings.parallel or 1) > 1 and (why := settings.shared_by_processes):
        raise InputError(option="parallel", value=settings.parallel, rule=f"{why}: choose 1")
    require_seeds(settings.seed, settings.seeds)


def _contradictions(settings: RunSettings) -> Iterator[str]:
    """Give what is wrong with models to begin with, rates, folds and seeds, sources of recordings, and labels."""
    tokenizer, rates = settings.tokenizer, settings.tokenizer.rates
    listed_rates = f"tokenizer.rates={list(rates or ())}"
    for option, start in ((TOKENS, tokenizer.start), (LM, settings.lm.start)):
        if start is not None and rates is not None:
            yield f"{option}={start} and {listed_rates}: a run begins with models of one rate; leave one of them out"
    if tokenizer.start is not None and tokenizer.features != "autoencoder":
        yield (
            f"{TOKENS}={tokenizer.start} is used as it is: choose tokenizer.features=autoencoder (it is "
            f"{tokenizer.features})"
        )
    given = {option: reduce(getattr, option.split("."), settings) for option in LEVEL_NEEDS}
    others = [
        f"{option}={list(value) if isinstance(value, tuple) else value}"
        for option, value in given.items()
        if value != LEVEL_NEEDS[option]
    ]
    if tokenizer.level and others:
        rule = "a tokenizer of log-mel at one rate, which keeps levels, learns them in this run"
        yield f"tokenizer.level=true and {listed(others)}: {rule}; choose tokenizer.level=false, or leave the other out"
    if "vocoder" in settings.stages:
        require_one_training("vocoder", settings, "leave it out, stages=[tokenizer,lm,probe,report]")
    for source in settings.unlabelled or ():
        if source != EMBEDDED_SOURCE and source.lower() == EMBEDDED_SOURCE:
            yield f"unlabelled={source}: name a folder, such as ./{source}, or embedded (in small letters)"
    if (settings.probed_methods or settings.names_labels) and settings.corpus.label_type != "class":
        yield (
            f"corpus.label_type={settings.corpus.label_type}, but probes and evaluators predict classes: leave them "
            "out (stages=[tokenizer,lm,report]), and learn such labels with wordless finetune"
        )


def _require_speech_layer(settings: RunSettings) -> None:
    """Refuse a layer that cannot make the codes of a run, and options that its codes cannot follow."""
    own, hop = settings.tokenizer, settings.audio.hop_length
    if settings.speech_layer is None:
        return
    found = settings.wav2vec2.described
    settings.wav2vec2.require_weights(settings.audio.sample_rate)
    if (step := own.patch.frames * hop) != (stride := found.convolutions.stride):
        frames, remedy = (2, f"audio.hop_length={stride // 2} ") if stride % hop else (stride // hop, "")
        problem = f"{found.name} has a state for each {stride} samples, and a code has {step}"
        raise InputError(f"{problem}; set {remedy}tokenizer.patch.frames={frames}")
    probed, compare, warps = bool(settings.probed_methods), settings.compare, settings.lm.views.warps
    impossible = (  # options of spectrograms and patches
        (own.rates is not None, f"tokenizer.rates={list(own.rates or ())}", "use null: a model has states at one rate"),
        (own.patch.mels is not None, f"tokenizer.patch.mels={own.patch.mels}", "use null: a state is of all mel bands"),
        (own.views.dynamic_ranges is not None, "tokenizer.views.dynamic_ranges", "use null"),
        (settings.probes("bottleneck"), "compare.methods with bottleneck", "leave it out; wav2vec2 probes the states"),
        *(
            (settings.probes(each), f"compare.methods with {each}", "leave it out: it reads codes of log-mel")
            for each, method in METHODS.items()
            if method.reads_codes and method.features == "denoising"
        ),
        (warps > 0, f"lm.views.warps={warps}", "use 0: warped copies are spectrograms"),
        (
            probed and compare.test_time_augmentation > 1,
            f"compare.test_time_augmentation={compare.test_time_augmentation}",
            "use 1: others are spectrograms",
        ),
    )
    if refused := [f"{option} ({remedy})" for refused, option, remedy in impossible if refused]:
        raise InputError(f"{SPEECH_FEATURES} makes codes from samples, so these options do not work: {listed(refused)}")
