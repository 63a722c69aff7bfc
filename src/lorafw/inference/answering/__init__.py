"""Answering the rows of a file, in their order, so that what was begun can be continued."""
