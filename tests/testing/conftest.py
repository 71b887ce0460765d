import re

import pytest

#: Methods that take milliseconds for every plan get a few of the problems, and all of them among the slow tests.
LENGTHY = re.compile(r"Test_((nevergrad|optuna)::.*_are_plans\[(?![0-3]\])|dmcjia::.*_are_plans\[(?!(0|4|7|9|12)\]))")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if LENGTHY.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
