"""dmcjia_opt."""

__version__ = "0.1.0"
