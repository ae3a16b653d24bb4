"""The site file: models, loading, and what it means as specs."""
