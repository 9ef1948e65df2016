"""The built-in corpus as a source of recordings: what `wordless.audio.recordings.embedded` says, as clips."""

from dataclasses import replace

from wordless.audio.recordings.embedded import speak, utterances
from wordless.audio.recordings.manifest import Clips, whole
from wordless.audio.recordings.recording_sources import CorpusConfig, Making


def candidates(config: CorpusConfig, making: Making | None) -> Clips:
    """List the clips of the built-in corpus, which are synthesised once; other labels than words are not in names."""
    own = config.embedded
    assert own is not None
    assert making is not None
    making.terminal.say("corpus    the built-in corpus; its voices are synthesised once, which takes some seconds")
    spoken = sorted(utterances(own), key=lambda each: each.file)
    root = speak(utterances(own), making.folder(), seed=own.seed)
    found, named = whole(root, [each.file for each in spoken]), own.label != "word"
    found = found.with_columns(label=[str(getattr(each, own.label)) for each in spoken]) if named else found
    return replace(found, name="built-in corpus (eSpeak NG)", has_labels=named)
