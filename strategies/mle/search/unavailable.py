"""Name the error of a cluster that is away, without importing what talks to it."""

from __future__ import annotations


class SearchUnavailable(RuntimeError):
    """Report a cluster that does not answer or went away, in one sentence."""
