"""Tracks become meaning: counts, zones, events. Pure: the same tracks and clock give the same records."""

from agent.scene.scene import Scene
from agent.scene.values import Link, View

__all__ = ["Link", "Scene", "View"]
