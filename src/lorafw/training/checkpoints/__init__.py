"""Checkpoints: how a run is kept, found again and continued."""
