import re

import pytest

#: Libraries that take milliseconds for every plan get a few of the problems, and all of them among the slow tests.
LENGTHY = re.compile(r"Test_(nevergrad|optuna)::test_its_plans_are_plans\[(?![0-3]\])")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if LENGTHY.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
