"""The record of k-means: what the clustering reports, ``kmeans.json`` holds and the report draws."""

from collections.abc import Sequence
from typing import TypedDict, cast


class KMeansReport(TypedDict):
    """Size and result of one k-means clustering."""

    points: int  # number of clustered bottlenecks: all of them, never a silent subsample
    objective: list[float]  # mean squared distance to the nearest centroid, per iteration
    dead: int  # centroids that are the nearest of no point
    duplicates: int  # centroids equal to an earlier one
    gpu: bool


class KMeansSummary(KMeansReport, total=False):
    """Clusterings of all levels together."""

    levels: list[KMeansReport]  # only if there are several


def kmeans_summary(reports: Sequence[KMeansReport]) -> KMeansSummary:
    """Build the content of ``kmeans.json``: the report of a single level, or a summary and the report of each level."""
    first = cast(KMeansSummary, dict(reports[0]))  # mypy wants the key that need not be there
    if len(reports) == 1:
        return first
    return {
        **first,
        "objective": [value for report in reports for value in report["objective"]],
        "dead": sum(report["dead"] for report in reports),
        "duplicates": sum(report["duplicates"] for report in reports),
        "levels": list(reports),
    }
