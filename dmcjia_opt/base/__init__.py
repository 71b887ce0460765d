"""The ground every room stands on: arrays, errors, files, processes."""
