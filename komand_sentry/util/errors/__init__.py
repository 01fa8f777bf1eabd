"""Errors of a step: their types, their texts, and what may be quoted in them."""
