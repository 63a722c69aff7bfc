"""Metrics that come with lorafw."""
