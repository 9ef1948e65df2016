"""A stage: a function whose arguments decide the entry of the store that it writes.

::

    @stage("codes", version=3, title="encoding {clips} clips")
    def codes(run: Run, clips: Clips, tokenizer: Entry) -> None:
        ...  # writes files into run.folder

``codes(session, clips, tokenizer)`` returns the entry, from the store or made now. Its key is the hash of the stage's
name, its version, and all arguments:

- plain values, lists, mappings and options are themselves; options that decide no result are left out;
- an entry is its key;
- what has a ``key`` is this key. That of a clip table is its sound, so the stage gets the table without labels;
- where something else of an argument decides the result, a function says what: ``keys={"clips": labels_of}``.
"""

import inspect
from collections.abc import Callable, Mapping, Sized
from dataclasses import fields, is_dataclass
from functools import wraps
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec

from pipelines.store.session import Run, Session
from pipelines.store.store import Entry, Recipe
from wordless.audio.recordings.manifest import Clips, Split
from wordless.base.files import list_hash

P = ParamSpec("P")
# Options that decide no result: how often checkpoints are written, which program computes the same sound.
NO_RESULT = ("checkpoint_minutes", "engine")
LONG = 100  # values of a list or mapping that a record of an entry shows; of more it has the hash


def labels_of(clips: Clips) -> list[object]:
    """Return what tables say of clips, as the key of a stage that reads this and not their sound."""
    return [[clip.name, clip.split, clip.label, clip.group, clip.fold] for clip in clips.clips]


def stage(
    name: str,
    *,
    version: int,
    title: str,
    splits: tuple[Split, ...] = (),
    keys: Mapping[str, Callable[[Any], object]] = MappingProxyType({}),
    together: bool = False,
) -> Callable[[Callable[Concatenate[Run, P], None]], Callable[Concatenate[Session, P], Entry]]:
    """Make a stage of a function that writes the files of an entry into ``run.folder``.

    Arguments can stand in ``name`` and ``title``, such as ``{fit.summary}``; in the title, lists, views and clip tables
    are their lengths. Raise the ``version`` when the same arguments give other bytes. Clip tables get into the function
    and the key with the clips of ``splits`` alone, one split after the other; (): with all clips.

    Rank 0 makes the entry alone, with the same bytes for any number of threads (`wordless.base.machine.one_thread`).
    With ``together``, as for trainings, the function runs on every rank, of which only rank 0 may write; the key has
    the numbers of threads and processes, which decide the rounding of sums.
    """

    def decorate(make: Callable[Concatenate[Run, P], None]) -> Callable[Concatenate[Session, P], Entry]:
        signature = inspect.signature(make)

        @wraps(make)
        def call(session: Session, /, *args: P.args, **kwargs: P.kwargs) -> Entry:
            bound = signature.bind(session, *args, **kwargs)
            bound.apply_defaults()
            given = {
                of: each.only(*splits) if splits and isinstance(each, Clips) else each
                for of, each in [*bound.arguments.items()][1:]
            }
            read = {entry.key for entry in given.values() if isinstance(entry, Entry)}
            decide = {each: keys[each](value) if each in keys else value for each, value in given.items()}
            arguments = {each: _key(value, read) for each, value in decide.items()}
            recipe = Recipe(name.format_map(given), version, arguments)
            shown = title.format_map({each: _shown(value) for each, value in given.items()})

            def work(run: Run) -> None:
                for of, each in given.items():
                    plain = isinstance(each, Clips) and of not in keys  # its key does not have the labels
                    bound.arguments[of] = each.with_columns(label=None, group=None) if plain else each
                make(run, *bound.args[1:], **bound.kwargs)

            return session.entry(recipe, shown, work, read=read, together=together)

        return call

    return decorate


def _shown(value: object) -> object:
    if isinstance(value, Clips):
        return len(value.frame)
    return len(value) if isinstance(value, Sized) and not isinstance(value, str) else value


def _key(value: object, read: set[str]) -> object:
    """Return the JSON by which an argument decides a result, and add the keys of entries in it to ``read``."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Entry():
            read.add(value.key)
            return value.key
        case Mapping():
            named = {str(name): _key(each, read) for name, each in value.items()}
            return named if len(named) <= LONG else list_hash(sorted(named.items()))
        case list() | tuple():
            each = [_key(each, read) for each in value]
            return each if len(each) <= LONG else list_hash(each)
    if (key := getattr(value, "key", None)) is not None:
        return _key(key, read)
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"a key cannot have a {type(value).__name__}")
    if (choice := getattr(value, "precision", None)) in ("auto", "auto_gpu"):
        raise ValueError(f"a key needs the meaning of precision={choice}: call with_precision on the settings first")
    # On a GPU the default may round otherwise; `true` does so on each device.
    left_out = NO_RESULT if getattr(value, "compile", None) else (*NO_RESULT, "compile")
    return _key({each.name: getattr(value, each.name) for each in fields(value) if each.name not in left_out}, read)
