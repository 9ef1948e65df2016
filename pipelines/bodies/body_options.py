"""What a run reads of a body: its options, and its methods of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pipelines.methods.method import Method, PictureRecord
from wordless.base.options import Options


class BodySettings(Options):
    """The options of a body in a run, and its methods, whose features `Method.features` makes."""

    methods: ClassVar[tuple[Method, ...]]
    parts: ClassVar[tuple[str, ...]] = ()  # stages whose models the folder of a run keeps, under their names

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folder of weights that the user names, if there is one."""
        return ()

    def pretrained(self, method: Method) -> str:
        """Name the network that is trained without labels for a method; "": none is."""
        return method.title if method.training and not method.learns_labels else ""

    def pictures(self, folder: Path, sample_rate: int, *, title: str) -> list[PictureRecord]:
        """Draw what the network in a folder, trained for the method ``title``, has learned."""
        return []

    def least_seconds(self, method: Method, sample_rate: int) -> float:
        """Return the length of the shortest recording that a method reads."""
        return 0.0

    def require_weights(self, sample_rate: int) -> None:
        """Refuse pre-trained weights that cannot be read, or that are of another size or sample rate."""
