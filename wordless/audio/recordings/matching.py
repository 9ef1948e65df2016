"""Which recording a file of annotations, or a path inside of it, belongs to.

Recorders name files by time, so two sites have recordings of one name. A name is therefore not enough: the folders of
both must agree as far as both are given.

The *place* of a folder is its path without folders that only say a kind of files (`_KINDS_OF_FILES`)::

    siteA/labels/0600.txt      siteA          belongs to siteA/audio/0600.wav, and not to siteB/0600.wav
    labels/siteA/0600.txt      siteA          likewise
    labels/0600.txt            (not given)    belongs to the only recording of this name
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

_Place = tuple[str, ...]
_KINDS_OF_FILES = {  # words of folders that say what kind of files is in them, and nothing of the recordings
    *("audio", "audios", "wav", "wavs", "wave", "waves", "flac", "flacs", "mp3", "mp3s", "ogg", "oggs", "opus", "m4a"),
    *("aiff", "sound", "sounds", "recording", "recordings", "file", "files", "text", "texts", "txt", "csv", "tsv"),
    *("label", "labels", "labelled", "labeled", "annotation", "annotations", "annotated", "transcript", "transcripts"),
    *("transcription", "transcriptions", "grid", "grids", "textgrid", "textgrids", "praat", "lab", "labs", "eaf"),
    *("elan", "raven", "selection", "selections", "selectiontables", "table", "tables", "audacity", "birdnet", "rttm"),
    *("rttms", "ctm", "ctms"),
}
_DRIVE = re.compile(r"(?:[a-z]:)?/*", re.IGNORECASE)


def fold(name: str) -> str:
    """Return a name in one case, and its letters with marks in one form."""
    return unicodedata.normalize("NFC", name).casefold()


def parent(path: str) -> str:
    """Return the folder of a path; empty: the root."""
    return path.rpartition("/")[0]


@lru_cache(1 << 16)
def place_of(folder: str) -> _Place:
    """Return the place of a folder, which may be of another machine."""
    parts = (part for part in map(fold, _DRIVE.sub("", folder, count=1).split("/")) if part not in ("", ".", ".."))
    return tuple(part for part in parts if not {*re.split(r"[\W_]+", part)} - {""} <= _KINDS_OF_FILES)


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _stems(file: str) -> Iterator[str]:
    """Give the name of a file without its last ending, without the last two, and so on."""
    name = file.rpartition("/")[2]
    while "." in name[1:]:
        name = name.rpartition(".")[0]
        yield name


def _parts(folder: str) -> Iterator[tuple[str, str]]:
    """Give each folder above a path, and the next name in the path; last the path itself, and nothing."""
    parts = folder.split("/") if folder else []
    for number, part in enumerate([*parts, ""]):
        yield "/".join(parts[:number]), part


def _differing(one: Sequence[str], other: Sequence[str]) -> tuple[int, Sequence[str], Sequence[str]]:
    """Return how many first folders are the same, and what lies between them and the last ones that are the same."""
    most = min(len(one), len(other))
    first = next((n for n in range(most) if one[n] != other[n]), most)
    last = next((n for n in range(most - first) if one[-1 - n] != other[-1 - n]), most - first)
    return first, one[first : len(one) - last], other[first : len(other) - last]


def _best(ranked: Sequence[tuple[int, str]]) -> list[str]:
    """Return the recordings that agree most; one that shares no folder is meant only if no other has its name."""
    most = max((agreement for agreement, _ in ranked), default=-1)
    found = [path for agreement, path in ranked if agreement == most]
    return found if most > 0 or (most == 0 and len(ranked) == 1) else []


@dataclass(frozen=True, kw_only=True, eq=False)
class Recordings:
    """The recordings below a folder, and the other files there; paths with "/" between folders."""

    paths: Sequence[str]
    others: Sequence[str]
    root: str = ""  # name of the folder
    _counterparts: dict[tuple[str, str], str | None] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """The recordings by name, with and without ending."""
        names: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            for each in {name, name.rpartition(".")[0] or name}:
                names[fold(each)].append(path)
        return names

    @cached_property
    def _in_folder(self) -> dict[tuple[str, str], list[str]]:
        """The recordings by name and folder."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name, paths in self._names.items():
            for path in paths:
                found[name, parent(path)].append(path)
        return found

    @cached_property
    def _at_place(self) -> dict[tuple[str, _Place], list[str]]:
        """The recordings by name and place."""
        found: dict[tuple[str, _Place], list[str]] = defaultdict(list)
        for (name, folder), paths in self._in_folder.items():
            found[name, self._homes[folder]] += paths
        return found

    @cached_property
    def _homes(self) -> dict[str, _Place]:
        """The folders that hold recordings, and their places."""
        return {folder: place_of(folder) for folder in dict.fromkeys(map(parent, self.paths))}

    @cached_property
    def _places(self) -> set[_Place]:
        return {*self._homes.values()}

    @cached_property
    def _by_last(self) -> dict[str, set[_Place]]:
        """The places of recordings by their last folders."""
        places: dict[str, set[_Place]] = defaultdict(set)
        for place in filter(None, self._homes.values()):
            places[place[-1]].add(place)
        return places

    @cached_property
    def _files(self) -> dict[str, set[str]]:
        """The folders of other files by the names of the files."""
        folders: dict[str, set[str]] = defaultdict(set)
        for file in self.others:
            folders[fold(file.rpartition("/")[2])].add(parent(file))
        return folders

    @cached_property
    def _home_parts(self) -> dict[str, set[str]]:
        """The folders in each folder that hold recordings, themselves or below; "": the folder itself does."""
        parts: dict[str, set[str]] = defaultdict(set)
        for home in self._homes:
            for above, part in _parts(home):
                parts[above].add(part)
        return parts

    @cached_property
    def _file_parts(self) -> dict[tuple[str, str], Counter[str]]:
        """Likewise the folders of other files of recordings' names, by the endings of the files; with their number."""
        parts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for file in filter(self.is_named_so, self.others):
            for above, part in _parts(parent(file)):
                parts[_ending(file), above][part] += 1
        return parts

    @cached_property
    def _annotated(self) -> set[tuple[str, _Place]]:
        """The places of recordings that have files of their names there, each with the ending of these files."""
        return {(_ending(file), self._homes[parent(path)]) for file in self.others for path in self._at_its_place(file)}

    def of_name(self, name: str) -> list[str]:
        """Return the recordings of a name, with or without its ending."""
        return self._names.get(fold(name), [])

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file belongs to: those of its name, without its last endings.

        It belongs to a recording of its own folder, or to the one whose folders agree as far as both are given:
        ``wav/a/1.wav`` for ``grid/a/1.lab``. If that recording is missing, it belongs to none.
        """
        return self._at_its_place(file) or self._elsewhere(file)

    def why_none(self, file: str) -> str:
        """Say why a file belongs to no recording."""
        same, folder = next(self._same_name(file), []), parent(file) or "its folder"
        if not same:
            return "no recording has its name"
        elsewhere = f"{same[0]} is of another folder"
        if len(same) > 1:
            elsewhere = f"{same[0]} is of another folder, as are {len(same) - 1} more"
        elif not self.has_home(file) and self._agreement(file, same[0]) >= 0:
            elsewhere = f"several files have the name of {same[0]}"
        return f"no recording of its name lies in {folder}, and {elsewhere}"

    def is_named_so(self, file: str) -> bool:
        """Return whether a file has the name of a recording, in whatever folder."""
        return any(self._same_name(file))

    def _same_name(self, file: str) -> Iterator[list[str]]:
        """Give the recordings of a file's name without its last ending, without the last two, and so on."""
        return (same for name in _stems(file) if (same := self.of_name(name)))

    def _at_its_place(self, file: str) -> list[str]:
        """Return the recordings of a file's name in its folder, or the only one whose folders all agree."""
        folder, alone = parent(file), list[str]()
        for name in map(fold, _stems(file)):
            if beside := self._in_folder.get((name, folder)):
                return beside
            if name in self._names and len(agreeing := self._agreeing(name, file)) == 1:
                alone = alone or agreeing
        return alone

    def _agreeing(self, name: str, file: str) -> list[str]:
        """Return the recordings of a name whose folders all agree with those of a file."""
        place, counterpart = place_of(parent(file)), self._counterpart(file)
        found, own = self._at_place.get((name, place), []), self._homes.get(counterpart or "", ())
        others = self._in_folder.get((name, counterpart), []) if counterpart is not None and own != place else []
        return [*found, *others]

    def _elsewhere(self, file: str) -> list[str]:
        """Return the only recording of a file's name whose folders agree in part, if neither belongs elsewhere."""
        every = [*self._same_name(file)]
        if not every or self.has_home(file) or self._has_namesake(file):
            return []
        for same in every:
            found = _best([(self._agreement(file, path), path) for path in same])
            if len(found) == 1:
                return [] if (_ending(file), self._homes[parent(found[0])]) in self._annotated else found
        return []

    def _has_namesake(self, file: str) -> bool:
        """Return whether another folder has a file of the same name."""
        return bool(self._files[fold(file.rpartition("/")[2])] - {parent(file)})

    def has_home(self, file: str) -> bool:
        """Return whether recordings lie in a file's folder, or in one whose folders all agree."""
        return place_of(parent(file)) in self._places or self._counterpart(file) is not None

    def _agreement(self, file: str, recording: str) -> int:
        """Return how many folders of their places a file and a recording share; -1 if some differ."""
        place = place_of(parent(file))
        _, own, other = _differing(place, self._homes[parent(recording)])
        return -1 if own and other else len(place) - len(own)

    def _counterpart(self, file: str) -> str | None:
        """Return the folder that differs from a file's in one name, which parts all recordings from all such files.

        So do ``Aufnahmen/a`` and ``Grenzen/a``, if no recordings lie beside the first, and none in the second. There
        must be several files of the ending: one may be all that was copied of another place.
        """
        key = folder, ending = parent(file), _ending(file)
        if key not in self._counterparts:
            self._counterparts[key] = None
            for above, part in _parts(folder):
                homes, files = self._home_parts[above], self._file_parts[ending, above]
                if part and files.keys() == {part} and files[part] > 1 and len(homes) == 1 and part not in homes:
                    (other,) = homes
                    begin, end = f"{above}/{part}".lstrip("/"), f"{above}/{other}".lstrip("/")
                    home = end + folder.removeprefix(begin)
                    self._counterparts[key] = home if home in self._homes else None
        return self._counterparts[key]

    def meant(self, names: Collection[str], file: str) -> dict[str, list[str]]:
        """Return the recordings that each path or name in a file means, which is not there as it is written.

        A path of another machine means the recording of its name whose last folders are the same, as far as both are
        given; upper folders that all paths, and all recordings, share may differ. A bare name means a recording at the
        place of the file, or if none of the names is there the only one of the name at a place that agrees with it.
        """
        given = {name: place_of(parent(name)) for name in names}
        bare = [name for name, place in given.items() if not place]
        found, unknown = self._meant_bare(bare, file) if bare else {}, dict[str, _Place]()
        upper, known = _shared_by(filter(None, given.values())), any(map(self._is_known, given.values()))
        for name, place in ((name, place) for name, place in given.items() if place):
            same = self.of_name(PurePosixPath(name).name)
            ranked = [(self._trailing(place, self._homes[parent(path)], upper), path) for path in same]
            found[name] = _best(ranked)
            if all(agreement <= 0 for agreement, _ in ranked):
                unknown[name] = place
        several = len({*unknown.values()}) > 1
        for name, place in unknown.items():
            same = self.of_name(PurePosixPath(name).name)
            if self._is_known(place) or (several and place[-1] != self.root) or (known and len(place) > upper):
                found[name] = []  # its folder is not here, or lacks it
            elif known or several:  # a folder of all the others: the root
                found[name] = [path for path in same if not self._homes[parent(path)]]
            elif own := [path for path in self.of_file(file) if path in same]:  # as of the card of a recorder: D:/1
                found[name] = own
        return found

    def _meant_bare(self, names: Iterable[str], file: str) -> dict[str, list[str]]:
        """Return the recordings that names without folders mean."""
        found, folder = dict[str, list[str]](), parent(file)
        named = {name: fold(PurePosixPath(name).name) for name in names}
        for name, key in named.items():
            found[name] = self._in_folder.get((key, folder)) or self._agreeing(key, file)
        for name, key in named.items() if not any(found.values()) else ():
            same = self._names.get(key, [])
            below = [path for path in same if not folder or path.startswith(f"{folder}/")]
            found[name] = below or _best([(self._agreement(file, path), path) for path in same])
        return found

    def _trailing(self, given: _Place, home: _Place, upper: int) -> int:
        """Return how many last folders of two places are the same; -1 if those above differ, unless all share them."""
        same = next(
            (n for n, pair in enumerate(zip(given[::-1], home[::-1], strict=False)) if pair[0] != pair[1]), None
        )
        if same is None:
            return min(len(given), len(home))
        return same if same and len(given) - same <= upper and len(home) - same <= self._upper else -1

    @cached_property
    def _upper(self) -> int:
        """How many first folders of their places all recordings share."""
        return _shared_by(self._homes.values())

    def _is_known(self, given: _Place) -> bool:
        """Return whether recordings lie in a folder of the last name of a path."""
        return bool(given) and given[-1] in self._by_last

    def differs(self, name: str, path: str) -> bool:
        """Return whether a path in a file names another folder than that of a recording."""
        given, home = place_of(parent(name)), self._homes.get(parent(path), ())
        return bool(given and home) and given[-1] != home[-1]

    def is_strange(self, name: str) -> bool:
        """Return whether no recording has the name that a path in a file gives, and no folder that of its folder."""
        return not self.of_name(PurePosixPath(name).name) and not self._is_known(place_of(parent(name)))


def _shared_by(places: Iterable[_Place]) -> int:
    """Return how many first folders all places share."""
    every = [*places]
    return min((_differing(every[0], each)[0] for each in every), default=0)
