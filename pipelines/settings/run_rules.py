"""Refusals of options of a run that contradict each other. A single group of options cannot see them."""

from typing import TYPE_CHECKING

from pipelines.methods.table import METHODS
from pipelines.settings.completed import EMBEDDED_SOURCE
from pipelines.settings.gang import require_equal_share, require_sharding
from pipelines.settings.model_memory import require_memory
from pipelines.settings.parallel import require_parallel
from pipelines.settings.speech_layer import require_speech_layer
from pipelines.stages.start import LM, TOKENS, VOICE, require_same_gpt, require_same_tokenizer, require_same_voice
from pipelines.tracking.tracking import require_trackers
from wordless.base.errors import InputError, within
from wordless.base.ranges import require
from wordless.base.seeds import require_seeds

if TYPE_CHECKING:
    from pipelines.settings.run import RunSettings


def require_run(settings: "RunSettings") -> None:
    """Refuse options that contradict each other, or that this machine cannot follow.

    Raises:
        InputError: with the options, their values and a remedy.
    """
    with within("tokenizer"):
        streams = settings.tokenizer.config(settings.audio).streams
    _require_room(settings)
    with within("next_sample"):
        settings.next_sample.require_rate(settings.audio.sample_rate)
        if "next_sample" in settings.stages:
            settings.next_sample.require_positions()
    if settings.reads_codes:
        require_speech_layer(settings)
    _require_same_frames(settings)
    with within("lm.gpt"):
        settings.lm.gpt.require_room(streams)
    with within("vocoder.crops"):
        settings.vocoder.crops.look_ahead(settings.vocoder.wavenet)
    _require_starts(settings)
    _require_equal_shares(settings)
    require_sharding(settings.lm)
    _require_rates(settings)
    _require_one_run(settings)
    if settings.quick and settings.compare.folds is None:
        raise InputError("quick=true takes two of the folds; name compare.folds=group or fold, too")
    _require_comparable(settings)
    _require_unlabelled(settings)
    _require_classes(settings)
    require_trackers(settings.tracking)
    require_parallel(settings.parallel, threads=settings.threads, device=settings.device, engine=settings.engine)
    require_seeds(settings.seed, settings.seeds)


def _require_room(settings: "RunSettings") -> None:
    """Refuse models that are larger than the memory of the device."""
    trainings = [each.training for each in settings.probed_methods if each.training]
    networks = [each.network(settings) for each in trainings if each.network]
    own = (settings.tokenizer, settings.lm, settings.vocoder, settings.baselines, settings.next_sample)
    require_memory(settings.device, settings.audio, *own, networks)


def _require_classes(settings: "RunSettings") -> None:
    """Refuse labels that are no classes where probes or judges predict them."""
    kind = settings.corpus.label_type
    if (settings.probed_methods or settings.judges) and kind != "class":
        raise InputError(
            f"corpus.label_type={kind}, but probes and judges predict classes: leave the probes out "
            "(stages=[tokenizer,lm,report]), and learn such labels with wordless finetune"
        )


def _require_comparable(settings: "RunSettings") -> None:
    """Refuse methods that cannot be made."""
    for method in settings.probed_methods:
        method.require_options(settings)


def _require_unlabelled(settings: "RunSettings") -> None:
    """Refuse a source that is named twice, and hours of nothing."""
    sources, hours = settings.unlabelled or (), settings.unlabelled_hours
    for source in sources:
        if source != EMBEDDED_SOURCE and source.lower() == EMBEDDED_SOURCE:
            raise InputError(f"unlabelled={source}: name a folder, such as ./{source}, or embedded (in small letters)")
    if twice := [source for source in sources if sources.count(source) > 1]:
        raise InputError(f"unlabelled names {twice[0]} twice; name each folder once")
    if hours is None:
        return
    require(hours >= 0, "unlabelled_hours", hours, "choose null (all), 0 (none) or a number of hours")
    if hours and not sources:
        raise InputError(
            f"unlabelled_hours is {hours:g}, but unlabelled names no recordings: add unlabelled=embedded or "
            "unlabelled=[FOLDER], or leave unlabelled_hours out"
        )


def _require_rates(settings: "RunSettings") -> None:
    """Refuse models of several rates without a layer for each, and soft codes, which they do not read."""
    rates = settings.tokenizer.rates
    if rates is None and "rates" in settings.stages:
        raise InputError(
            "stages has rates, which compares codes at several rates, and tokenizer.rates is null: add "
            "tokenizer.rates=[8,4,2], or leave the stage out"
        )
    if "rates" in settings.stages:
        seconds, least = settings.rates.prompt_seconds, settings.coarsest_code_seconds
        rule = f"the models of all rates read whole coarse codes, which last {least:g} s: choose {least / 2:g} or more"
        require(2 * seconds >= least, "rates.prompt_seconds", seconds, rule)
    if rates is not None and settings.probed_methods and settings.compare.assignments == "soft":
        raise InputError(
            f"tokenizer.rates is {list(rates)}, and the models of several rates read hard codes: choose "
            "compare.assignments=hard or tokenizer.rates=null"
        )
    if rates is None or not settings.trains_rates:
        return
    with within("lm"):
        settings.lm.divided(len(rates))


def _require_starts(settings: "RunSettings") -> None:
    """Refuse models to begin with that this run does not have, and those of other sizes."""
    tokens, model, rates = settings.tokenizer.start, settings.lm.start, settings.tokenizer.rates
    for option, start in ((TOKENS, tokens), (LM, model)):
        if start is not None and rates is not None:
            raise InputError(
                f"{option}={start} and tokenizer.rates={list(rates)}: a run begins with models of one rate; leave one "
                "of the options out"
            )
    if tokens is not None:
        if settings.tokenizer.features != "autoencoder" or settings.vocoder.codebook_sizes is not None:
            raise InputError(
                f"{TOKENS}={tokens} is used as it is, and tokenizer.features={settings.tokenizer.features} "
                f"vocoder.codebook_sizes={settings.vocoder.codebook_sizes} make codes of other kinds: choose "
                "tokenizer.features=autoencoder and vocoder.codebook_sizes=null"
            )
        require_same_tokenizer(tokens, settings.tokenizer.config(settings.audio))
    if model is not None:
        if not settings.trains_lm:
            raise InputError(f"{LM}={model}, but this run trains no language model: add lm to stages, or leave it out")
        require_same_gpt(model, settings.lm.gpt, codebook_size=settings.tokenizer.codebook_size)
    if (voice := settings.vocoder.start) is not None:
        if "vocoder" not in settings.stages:
            raise InputError(f"{VOICE}={voice}, but this run has no vocoder: add vocoder to stages, or leave it out")
        require_same_voice(voice, settings.vocoder.wavenet, settings.audio)


def _require_one_run(settings: "RunSettings") -> None:
    """Refuse stages that need a single model in a run of several folds or seeds."""
    folds = [f"compare.folds is {settings.compare.folds}"] if settings.compare.folds else []
    several = [*folds, *([f"seeds is {settings.seeds}"] if settings.seeds > 1 else [])]
    if "rates" in settings.stages and several:
        raise InputError(
            f"{' and '.join(several)}, which trains everything several times, and the stage rates compares one "
            "training: leave it out, or sweep over seeds (wordless run -m seed=0,1,2)"
        )
    if "vocoder" in settings.stages and several:
        raise InputError(
            f"{' and '.join(several)}, which trains everything several times, and a run has one vocoder: leave the "
            "vocoder out, stages=[tokenizer,lm,probe,report]"
        )
    if "next_sample" in settings.stages and folds:
        raise InputError(
            f"{folds[0]}, and the stage next_sample compares models on the corpus's one split, over seeds: use "
            "compare.folds=null and seeds=3"
        )


def _require_equal_shares(settings: "RunSettings") -> None:
    """Refuse batches that processes and accumulation steps cannot divide equally, of what this run trains."""
    judge = [METHODS["supervised"]] if settings.trains_supervised else []
    trainings = [each.training for each in dict.fromkeys([*settings.probed_methods, *judge]) if each.training]
    lm, vocoder, samples = settings.lm, settings.vocoder, settings.next_sample
    shares = [(f"{one.option}.batches", one.options(settings).batches, one.options(settings).fit) for one in trainings]
    if settings.trains_lm or settings.trains_rates:
        shares.append(("lm.batches", lm.batches, lm.fit))
    if "vocoder" in settings.stages:
        shares.append(("vocoder.crops", vocoder.crops, vocoder.fit))
    if "next_sample" in settings.stages:
        shares.append(("next_sample.crops", samples.crops, samples.fit))
    for name, batches, fit in shares:
        require_equal_share(name, batches.batch_size, accumulation=fit.accumulation)


def _require_same_frames(settings: "RunSettings") -> None:
    """Refuse a vocoder whose rates differ from those of the tokenizer, and options that name its groups."""
    wavenet = settings.vocoder.wavenet
    if wavenet.groups:
        raise InputError(
            f"vocoder.wavenet.groups is {', '.join(wavenet.groups)}, but the groups are those of the training "
            "clips: leave vocoder.wavenet.groups out"
        )
    listens = {**vars(settings.audio), "patch_frames": settings.tokenizer.patch.frames}
    for name in ("sample_rate", "hop_length", "n_mels", "patch_frames"):
        if getattr(wavenet, name) != listens[name]:
            raise InputError(
                f"vocoder.wavenet.{name} is {getattr(wavenet, name)}, the tokenizer's {listens[name]}; they must "
                f"be equal: leave vocoder.wavenet.{name} out"
            )
