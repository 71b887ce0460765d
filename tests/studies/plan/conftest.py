"""What every test of a plan's page needs."""

import pytest


@pytest.fixture(autouse=True)
def quick(request):
    """Let no page simulate for long, but where that is what is tested."""
    if request.module.__name__ != "tests.studies.plan.test_instead":
        request.getfixturevalue("few_tasks")
