"""Tasks: declarations in `catalog`, behaviour in `formats`, `metrics` and `sources`."""
