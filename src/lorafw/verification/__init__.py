"""Trains a config in every way this machine offers, and compares what comes out."""
