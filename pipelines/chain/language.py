"""Codes and language models of a fold and a seed.

The codebook of a rate is made by the stages of a run that has this rate alone. Of several rates, a GPT models the
coarsest codes, and an upsampler each finer rate, which reads the codes of coarser rates as `lm.rates` draws it.
"""

from functools import partial

from pipelines.chain.study import Study, rate_prefix
from pipelines.stages import codebooks
from pipelines.stages.features import codes, training_views
from pipelines.stages.language_model import CodesAndViews, language_model, rate_language_model
from pipelines.stages.stage_options import TokenizerSettings
from pipelines.stages.voices import CodedIn
from pipelines.store.store import Entry
from wordless.audio.views import Views


def make_codes(study: Study) -> None:
    """Make tokenizer and codes of each rate; the tokenizers of several rates also become one tokenizer."""
    rates = study.settings.tokenizer.by_rate
    for number in (len(rates), *range(1, len(rates))):  # the finest first
        _make_codes(study, rates[number - 1], number)
    if len(rates) > 1:
        study.add(
            codebooks.rate_tokenizer(
                study.session, [study.by_rate[number].tokenizer for number in sorted(study.by_rate)]
            )
        )


def _make_codes(study: Study, settings: TokenizerSettings, number: int) -> None:
    """Train the tokenizer of one rate, or use that of ``settings.start``; encode the corpus; measure the health."""
    manifest, audio, layer = study.manifest, settings.front_end(study.audio), study.layer
    prefix = rate_prefix(number) if study.by_rate else ""  # the finest has none
    session, add = study.session.named(f"{prefix}{{stage}}"), partial(study.add, prefix=prefix)
    pitched = study.add(codebooks.pitches(session, manifest, audio, settings), prefix=prefix)
    sample = add(codebooks.frame_sample(session, manifest, audio, settings, layer))
    if settings.start is not None:
        tokens = add(codebooks.started_tokenizer(session, settings.start))
    else:
        inputs = None
        if layer is None and settings.views.change_inputs:
            inputs = add(codebooks.input_sample(session, manifest, audio, settings))
        trained = add(codebooks.autoencoder(session, sample, audio, settings, inputs, layer))
        tokens = add(codebooks.codebook(session, sample, trained, audio, settings, layer, pitched))
    coded = add(codes(session, manifest, tokens))
    study.by_rate[number] = CodedIn(tokens, coded)
    add(codebooks.health(session, manifest, tokens, coded, seed=study.settings.seed))


def train_language(study: Study) -> None:
    """Train the language models of codes."""
    session, settings = study.session, study.settings
    if settings.trains_rates:
        coded, models = [_coded_clips(study, number) for number in sorted(study.by_rate)], list[Entry]()
        for number, own in enumerate(settings.lm.divided(len(coded)), 1):
            study.add(coded[number - 1][0].views, prefix=rate_prefix(number))
            model = language_model(session.named(f"{rate_prefix(number)}{{stage}}"), coded[:number], own)
            models.append(study.add(model, f"{rate_prefix(number)}lm"))
        study.add(rate_language_model(session, models))
    if settings.trains_lm:
        corpus, *unlabelled = sources = _coded_clips(study, max(study.by_rate))
        study.add(corpus.views)
        study.add_unlabelled((each.codes, each.views) for each in unlabelled)
        study.add(language_model(session, [sources], settings.lm))


def _coded_clips(study: Study, number: int) -> list[CodesAndViews]:
    """Encode the clips of the run and of each unlabelled source at a rate, and their training clips in all views."""
    session, tokens, settings = study.session, study.by_rate[number].tokenizer, study.settings.lm
    frames, sources = study.settings.tokenizer.by_rate[0].patch.frames, list[CodesAndViews]()
    for clips in (study.manifest, *study.unlabelled):
        own = codes(session, clips, tokens) if sources else study.by_rate[number].codes
        changed = [view for clip in clips.of("train") for view in settings.views.of(clip, frames)]
        copies = training_views(session, Views(root=clips.root, views=changed), tokens) if changed else None
        sources.append(CodesAndViews(codes=own, views=copies))
    return sources
