"""Models behind the HTTP interface that OpenAI's clients speak."""
