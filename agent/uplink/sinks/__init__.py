"""One file a platform: records in, MQTT messages out, pure."""
