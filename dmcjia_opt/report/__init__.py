"""Reports as one HTML file that opens without a network: of a benchmark."""
