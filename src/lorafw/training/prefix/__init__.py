"""What enters the lowest adapted layer, computed once and kept on disk for later epochs."""
