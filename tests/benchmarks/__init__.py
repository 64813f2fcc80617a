"""Benchmarks: what is timed and compared, never asserted."""

import curette.flows  # noqa: F401 - first of ours: how threads wait is settled before torch is imported
