"""A run behind an address: JSON in, JSON out."""
