"""From the outbox to a broker, and commands back."""
