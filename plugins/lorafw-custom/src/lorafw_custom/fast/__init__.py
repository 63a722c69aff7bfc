"""The fast path: decoder layers of the Llama form, forward and backward by hand."""
