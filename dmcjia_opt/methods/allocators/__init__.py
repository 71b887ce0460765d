"""Allocators: cloud shares for fixed splits, one method a file."""
