"""Whole splits as token ids: in portions, in parallel, packed, with a report."""
