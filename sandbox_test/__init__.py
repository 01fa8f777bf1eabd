"""Tests with tools and servers of other projects, which have separate environments."""
