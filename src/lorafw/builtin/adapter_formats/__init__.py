"""Adapter formats that core itself reads and writes."""
