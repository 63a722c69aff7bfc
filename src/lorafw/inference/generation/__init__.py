"""Continuing rows of tokens: one loop for a single answer, a batch, a stream and a server."""
