"""The commands for people: doctor, bench, replay, demo, watch."""
