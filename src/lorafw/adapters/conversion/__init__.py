"""Adapters from one tool to another."""
