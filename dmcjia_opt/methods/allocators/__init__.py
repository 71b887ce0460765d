"""Allocators: shares for fixed options, one method a file."""
