"""Scenarios of continual learning for lorafw."""
