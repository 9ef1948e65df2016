"""The options of an engine, refused where they cannot work."""

import sys

import pytest

from wordless.base.errors import InputError
from wordless.base.machine import cores
from wordless.base.pools import LOCAL, EngineConfig


def test_an_address_belongs_to_ray() -> None:
    with pytest.raises(InputError, match=r"^address\b.*10\.0\.0\.1:6379\b.*\bname=ray\b"):
        EngineConfig(address="10.0.0.1:6379")


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'wordless\[ray\]'"):
        EngineConfig(name="ray")


@pytest.mark.parametrize("address", ["", "head", "ray://head:10001", "head:port", "head:6379/x"])
def test_other_addresses_are_refused(address: str) -> None:
    pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'")
    with pytest.raises(InputError, match=r"^address\b.*host:port"):
        EngineConfig(name="ray", address=address)


@pytest.mark.parametrize("address", [None, "auto", "head:6379", "10.0.0.1:6379", "[::1]:6379"])
def test_usual_addresses_are_taken(address: str | None) -> None:
    pytest.importorskip("ray", reason="needs pip install 'wordless[ray]'")
    assert EngineConfig(name="ray", address=address).address == address


def test_zero_workers_are_all_that_pay() -> None:
    assert (LOCAL.workers(3, enough=False), LOCAL.workers(0, enough=False)) == (3, 1)
    assert LOCAL.workers(0, enough=True) == cores()
