"""Whatever a table holds: it is read, or refused by its name. What it means stands in test_contract.py."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.measured import succeeds_or_names
from wordless.audio.recordings.clip_table import clips_of_table
from wordless.audio.recordings.corpus_config import ColumnConfig
from wordless.base.messages import InputError

CELLS = st.text(max_size=30) | st.sampled_from(["path", "split", "label", "9" * 5000, "\0", "a.wav", "\ud800", '"'])
LINES = st.lists(st.lists(CELLS, max_size=5).map("\t".join) | st.lists(CELLS, max_size=5).map(",".join), max_size=6)
OBJECTS = st.dictionaries(
    st.sampled_from(["path", "label", "index", "split", "start", "end", "channel", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3),
        max_leaves=5,
    ),
)
HEADERS = st.sampled_from(["", "path\tlabel\tgroup", "path,start,end,fold,split", "path,channel"])
ROWS = LINES | st.lists(OBJECTS.map(json.dumps), max_size=4)
TABLES = st.binary(max_size=200) | st.builds(
    lambda header, lines: "\n".join([header, *lines]).encode("utf-8", "surrogatepass"), HEADERS, ROWS
)


@given(content=TABLES, suffix=st.sampled_from([".tsv", ".csv", ".jsonl", ".json", ".txt", ".parquet"]))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_table_holds_is_read_or_refused_by_name(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with succeeds_or_names(path, []):
        found = clips_of_table(str(path), ColumnConfig())
        assert all(row.path and str(row.where).startswith(str(path)) for row in found)
        assert all(str(each.where).startswith(str(path)) for each in found.rejected)


@pytest.mark.parametrize("place", ["", "null\0.tsv", "no/*.tsv", "a.xlsx"])
def test_what_is_no_table_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(InputError, match=r"^table is "):
        clips_of_table(f"{tmp_path}/{place}", ColumnConfig())
