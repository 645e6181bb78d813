"""Evidence that stays on the box: short clips around an alarm, sealed to a key that the box can't open.

Off unless the configuration names a public key. Nothing here can send: it imports neither the outbox nor MQTT, and
what it says of a clip, its name, size and sha256, are numbers and words.
"""
