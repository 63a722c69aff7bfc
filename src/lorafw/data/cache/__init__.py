"""Encoded rows kept on disk, found again by what they were made from."""
