"""Checks of option values; every refusal reads ``<option> is <value>; <rule>``."""

from foundation.errors import InputError


def require(holds: bool, option: str, value: object, rule: str) -> None:
    """Refuse a value unless a condition holds; ``rule`` tells the user what to choose."""
    if not holds:
        raise InputError(f"{option} is {value}; {rule}")


def require_positive(config: object, group: str, *names: str) -> None:
    """Refuse a config of the option group ``group`` whose attributes ``names`` are not all positive."""
    for name in names:
        require(getattr(config, name) > 0, f"{group}.{name}", getattr(config, name), "it must be positive")


def require_least(config: object, group: str, *names: str, least: float) -> None:
    """Refuse a config of the option group ``group`` whose attributes ``names`` are not all ``least`` or more."""
    for name in names:
        require(getattr(config, name) >= least, f"{group}.{name}", getattr(config, name), f"it must be {least} or more")
