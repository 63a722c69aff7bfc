"""Base models through transformers."""
