"""From examples to token ids: templates, segments, truncation."""
