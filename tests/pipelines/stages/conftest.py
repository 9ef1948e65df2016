"""Sessions of the stages' tests."""

from pathlib import Path

import pytest

from pipelines.store.session import Session
from tests.pipelines.tiny import silent_session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session whose store the tests of a file share."""
    return silent_session(tmp_path_factory.mktemp("session"))


@pytest.fixture
def own_session(tmp_path: Path) -> Session:
    """A session with an empty store."""
    return silent_session(tmp_path)
