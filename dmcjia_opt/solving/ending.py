"""What ends a search from inside."""

from __future__ import annotations


class BudgetSpent(Exception):
    """Raised inside a search to end it; let it pass, the search has kept the best plan.

    Examples
    --------
    >>> from dmcjia_opt import BudgetSpent, Search, Stop, build_allocator, compile_problem, generate
    >>> problem = compile_problem(generate("paper", nodes=3, seed=1))
    >>> search = Search(problem, build_allocator("waterfilling"), Stop(evaluations=2))
    >>> try:
    ...     search.evaluate([[0, 0, split] for split in range(5)])
    ... except BudgetSpent:
    ...     print(search.evaluations)
    ...
    2
    """


class Ended(BaseException):
    """Ends a search that does not end by itself; no `except Exception` holds it up."""
