"""The monthly report: what a month's events amount to, and how that is written down."""
