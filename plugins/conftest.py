"""Plugins are tested with the same real data as core."""

from __future__ import annotations

from tests.conftest import row_cache as row_cache  # noqa: PLC0414
from tests.conftest import shared as shared  # noqa: PLC0414 - a fixture is found by its name here
from tests.conftest import what_is_here_lasts as what_is_here_lasts  # noqa: PLC0414
