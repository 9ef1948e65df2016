"""Documents of ELAN. The reader is our own, because ``pympi-ling`` accepts entities."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError, fromstring

from wordless.audio.recordings.annotation import Annotation, one_line
from wordless.base.messages import InputError

_ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


def elan(text: str, shown: str) -> list[Annotation]:
    """Read an ELAN document in milliseconds, without a document type; other texts are refused.

    A referring annotation has the time of the one that it refers to.
    """
    if "<!DOCTYPE" in text:
        raise InputError(f"{shown}:1: it declares a type (DOCTYPE), whose entities may expand without limit")
    try:
        root = fromstring(text)
    except (ParseError, ValueError) as error:
        line = error.position[0] if isinstance(error, ParseError) else 1
        raise InputError(f"{shown}:{line}: no XML that is read ({error}); save it again in ELAN") from error
    units = {each.get("TIME_UNITS", "milliseconds") for each in root.iter("HEADER")} | {"milliseconds"}
    if root.tag != "ANNOTATION_DOCUMENT" or len(units) > 1:
        raise InputError(f"{shown}:1: no ANNOTATION_DOCUMENT in milliseconds alone, but {units}; save it in ELAN")
    # The recording is a WAV file among the media, or one of the name of the document: its time begins at the origin.
    media = {
        each.get("RELATIVE_MEDIA_URL") or each.get("MEDIA_URL") or "": each.get("TIME_ORIGIN", "").strip()
        for each in root.iter("MEDIA_DESCRIPTOR")
    }
    stem = PurePosixPath(shown).stem
    url = min(media, key=lambda each: (not each.lower().endswith(".wav"), PurePosixPath(each).stem != stem), default="")
    origin, recording = media.get(url) or "0", re.sub(r"^file:/{0,2}(?=/|\.)", "", url) or None
    if re.fullmatch(r"[-+]?\d{1,15}", origin) is None:
        raise InputError(f"{shown}: TIME_ORIGIN is {origin!r:.40}; it must be a whole number of milliseconds")
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE", "") for slot in root.iter("TIME_SLOT")}
    by_id = {each.get("ANNOTATION_ID"): each for each in root.iter() if each.tag in _ANNOTATIONS}
    by_name, parts = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}, list[Annotation]()
    for tier in root.iter("TIER"):  # the speaker is that of the tier, or of the nearest one above that names one
        speakers = [one_line(each.get("PARTICIPANT", "")) for each in _chain(tier, "PARENT_REF", by_name)]
        for each in (each for each in tier.iter() if each.tag in _ANNOTATIONS):
            last = _chain(each, "ANNOTATION_REF", by_id)[-1]
            times = [slots.get(last.get(f"TIME_SLOT_REF{number}"), "") for number in (1, 2)]
            start, end = (repr((int(origin) + float(time)) / 1000) if time.isdecimal() else time for time in times)
            fields = {"start": start, "end": end, "group": next(filter(None, speakers), "")}
            if label := one_line("".join(each.itertext())):
                where, fields["label"] = f"{shown}: {each.get('ANNOTATION_ID')}", label
                parts.append(Annotation(where, fields, one_line(tier.get("TIER_ID", "")), recording))
    return parts


def _chain(first: Element, reference: str, by_name: Mapping[str | None, Element]) -> list[Element]:
    found = [first]
    while (after := by_name.get(found[-1].get(reference, ""))) is not None and len(found) < 100:
        found.append(after)
    return found
