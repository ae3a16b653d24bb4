"""Contacts and relays on GPIO pins, through gpiozero."""
