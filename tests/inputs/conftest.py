"""What every test of files and options needs."""

import pytest


@pytest.fixture(autouse=True)
def quick(few_tasks):
    """Let no command simulate for long what it says beside a plan."""
