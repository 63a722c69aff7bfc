"""Files of rows, each format with a reader of its own."""
