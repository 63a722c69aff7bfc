"""Rows as a person looks at them: pieces, figures, duplicates."""
