"""Rows to token ids: fields, splits, encoding."""
