"""From files to typed examples: fields, kinds of rows, splits."""
