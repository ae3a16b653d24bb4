"""What the tests of the core get when `make mutants` runs them thousands of times (docs/mutants.md)."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "mutants",
    derandomize=True,  # the same lives for every change, so that a figure can be had again
    database=None,
    phases=(
        Phase.explicit,
        Phase.generate,
    ),  # that it fails is enough: nobody reads the shortest way
)

_LONG = ("test_model.py", "test_properties.py")
"""Random lives: they find most, and take the longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is quick first: with `-x`, most changes never meet the random lives."""
    items.sort(key=lambda item: item.path.name in _LONG)
