"""The agent as a systemd service: notify and watchdog, journal, credentials, unit."""
