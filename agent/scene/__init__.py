"""Tracks become meaning: counts, zones, events. Pure: the same tracks and clock give the same records."""
