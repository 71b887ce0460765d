"""Networks taken apart at their cuts, put into a folder, and run as processes beside what was planned."""
