"""Records and health become MQTT messages; commands come back. Knows nothing of pixels."""
