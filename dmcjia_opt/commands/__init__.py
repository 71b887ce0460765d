"""What the longer commands do, one file each; `cli` declares their options."""
