"""How pages, figures and sentences look."""
