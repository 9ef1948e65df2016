"""The options of a command that uses a finished run, out of a composed config that a corpus file may have filled."""

from collections.abc import Collection, Mapping
from dataclasses import fields

from pipelines.settings.completed import with_embedded_corpus
from pipelines.settings.run import RunSettings


def own_options(config: Mapping[str, object], own: Collection[str]) -> dict[str, object]:
    """Return the options of a command that uses a finished run, with the embedded corpus where none is named.

    A corpus may suggest a front end and lengths of training, which a run that is finished no longer takes; ``own``
    names the options that the command does take.
    """
    suggested = {field.name for field in fields(RunSettings)}
    return {name: value for name, value in with_embedded_corpus(config).items() if name in own or name not in suggested}
