"""Tests with tools and servers of other authors, each in an environment of its own."""
