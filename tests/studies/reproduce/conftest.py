"""The finding of the module under test: of its `ITEM` with its `SEEDS`; its figure, if it has one, looks right."""

import pytest

from tests.studies.reproduce.looks import flaws


@pytest.fixture(scope="module")
def results(request):
    return [job.work() for job in request.module.ITEM.jobs(request.module.SEEDS)]


@pytest.fixture(scope="module")
def finding(request, results):
    found = request.module.ITEM.conclude(request.module.SEEDS, results)
    assert found.figure is None or flaws(found.figure) == []
    return found
