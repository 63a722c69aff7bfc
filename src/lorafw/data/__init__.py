"""From files to token ids: rows, their rendering, whole splits encoded and kept."""
