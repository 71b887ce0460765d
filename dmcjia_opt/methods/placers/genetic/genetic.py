"""The genetic algorithm with its parts to choose: encoding, selection, crossover, mutation, elitism and repair.

Each part is a field of `Genetic` and a table here, which says what there is and for which encodings. The operators
are pymoo's where it has them, and those of `operators` and `reduced_costs` where it does not.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pymoo.algorithms.soo.nonconvex.ga import GA, FitnessSurvival, comp_by_cv_and_fitness
from pymoo.operators.crossover.hux import HalfUniformCrossover
from pymoo.operators.crossover.pntx import SinglePointCrossover, TwoPointCrossover
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import BinaryRandomSampling, IntegerRandomSampling
from pymoo.operators.selection.rnd import RandomSelection
from pymoo.operators.selection.tournament import TournamentSelection

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.methods.placers.genetic.coding import BinaryCode, BinaryPlacementProblem, GrayCode
from dmcjia_opt.methods.placers.genetic.guided import DualSampling, ToFeasible, reduced_costs
from dmcjia_opt.methods.placers.genetic.operators import Elitism, LinearRank, ResetOrCreep, Roulette, fittest
from dmcjia_opt.methods.placers.genetic.pymoo_ import EvolutionaryPlacer, PlacementProblem
from dmcjia_opt.solving.options import Count, OneOf, Probability, method
from dmcjia_opt.solving.search import Search

_BITS = ("binary", "gray")
ENCODINGS = ("integer", *_BITS)
SELECTIONS = ("tournament", "roulette", "rank", "random")
#: Name → the encodings it suits.
CROSSOVERS = {
    "uniform": ENCODINGS,
    "half-uniform": ENCODINGS,
    "one-point": ENCODINGS,
    "two-point": ENCODINGS,
    "sbx": ("integer",),
}
#: Name → the encodings it suits; the first that suits is the one that "auto" stands for.
MUTATIONS = {"reset-or-creep": ("integer",), "bit-flip": _BITS, "polynomial": ("integer",)}
REPAIRS = ("none", "to-feasible")
#: `elitism` for which every parent competes.
ALL = -1


@method
class Genetic(EvolutionaryPlacer):
    """Genetic algorithm whose parts are options; by default on integers, and a strong one on this problem.

    Parameters
    ----------
    population
        Individuals kept, μ.
    offspring
        New individuals a generation, λ.
    generations
        Generations when no budget of evaluations or seconds is given.
    encoding
        A variable is a node's option ("integer"), or one of its bits ("binary", "gray").
    selection
        How parents are drawn: "tournament", "roulette", "rank" (linear) or "random".
    tournament
        Entrants of one tournament.
    crossover
        "uniform", "half-uniform", "one-point", "two-point", or for integers "sbx".
    crossover_rate
        Probability that two parents cross.
    mutation
        "reset-or-creep" or "polynomial" for integers, "bit-flip" for bits; "auto" is the first that suits.
    mutation_rate
        Expected number of variables of one offspring that mutation touches, at least 1 with "reset-or-creep".
    reset
        Share of reset-or-creep's changes that draw a new option; the others move by a few.
    elitism
        How many parents, the best, compete with the offspring for survival: 0 is (μ, λ), −1 is all, (μ + λ).
    duplicates
        Let equal individuals into the population.
    repair
        "to-feasible" mends plans that overload a resource by the dual's prices; "none" leaves them to selection.
    start_from_dual
        Draw the first population around the plan that the Lagrangian dual chooses at its best prices (`DualSampling`),
        rather than at random.

    Raises
    ------
    InputError
        If an option is out of range, or two do not go together.
    """

    population: Annotated[int, Field(ge=2)] = 10
    offspring: Count = 20
    generations: Count = 500
    encoding: Annotated[str, OneOf(ENCODINGS)] = "integer"
    selection: Annotated[str, OneOf(SELECTIONS)] = "tournament"
    tournament: Count = 2
    crossover: Annotated[str, OneOf(CROSSOVERS)] = "uniform"
    crossover_rate: Probability = 0.9
    mutation: Annotated[str, OneOf(("auto", *MUTATIONS))] = "auto"
    mutation_rate: Annotated[float, Field(ge=0, lt=float("inf"))] = 1.3
    reset: Probability = 0.3
    elitism: Annotated[int, Field(ge=ALL)] = ALL
    duplicates: bool = False
    repair: Annotated[str, OneOf(REPAIRS)] = "none"
    start_from_dual: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        for field, value, table in (
            ("crossover", self.crossover, CROSSOVERS),
            ("mutation", self.mutating, MUTATIONS),
        ):
            if self.encoding not in table[value]:
                fits = ", ".join(name for name, encodings in table.items() if self.encoding in encodings)
                raise InputError(
                    f'{field} "{value}" needs encoding {" or ".join(table[value])}; '
                    f'with encoding "{self.encoding}" choose {fits}'
                )
        if self.mutation_rate < 1 and self.mutating == "reset-or-creep":
            raise InputError("mutation_rate must be at least 1 with reset-or-creep mutation")
        for name in ("tournament", "elitism"):
            if getattr(self, name) > self.population:
                raise InputError(f"{name} must be at most population, {self.population}")
        if self.elitism != ALL and self.elitism + self.offspring < self.population:
            raise InputError(
                f"with elitism = {self.elitism} a population of {self.population} cannot be filled from "
                f"{self.offspring} offspring; raise offspring to at least {self.population - self.elitism}"
            )

    @property
    def mutating(self) -> str:
        """The mutation meant, "auto" resolved."""
        if self.mutation != "auto":
            return self.mutation
        return next(name for name, encodings in MUTATIONS.items() if self.encoding in encodings)

    def start(self, search: Search) -> tuple[Any, PlacementProblem, int]:
        """Return pymoo's genetic algorithm with these operators (see the base class)."""
        problem = search.problem
        if self.encoding == "integer":
            seen = PlacementProblem(problem, search=search)
        else:
            code = GrayCode if self.encoding == "gray" else BinaryCode
            seen = BinaryPlacementProblem(search, code(problem.last))
        costs = reduced_costs(problem, search.dual) if self.start_from_dual or self.repair == "to-feasible" else None
        start = IntegerRandomSampling() if self.encoding == "integer" else BinaryRandomSampling()
        algorithm = GA(
            pop_size=self.population,
            n_offsprings=self.offspring,
            sampling=DualSampling(problem, costs=costs) if self.start_from_dual else start,
            selection=self._selection(),
            crossover=self._crossover(),
            mutation=self._mutation(seen.n_var),
            survival=FitnessSurvival() if self.elitism == ALL else Elitism(self.elitism),
            repair=ToFeasible(problem, costs) if self.repair == "to-feasible" else None,
            eliminate_duplicates=not self.duplicates,
        )
        return algorithm, seen, self.generations

    def _selection(self) -> Any:  # noqa: ANN401 - a pymoo Selection
        if self.selection == "tournament":
            pair = self.tournament == 2  # pymoo's own comparison is of two
            return TournamentSelection(comp_by_cv_and_fitness if pair else fittest, pressure=self.tournament)
        return {"roulette": Roulette, "rank": LinearRank, "random": RandomSelection}[self.selection]()

    def _crossover(self) -> Any:  # noqa: ANN401 - a pymoo Crossover
        if self.crossover == "sbx":
            return SBX(prob=self.crossover_rate, vtype=float, repair=RoundingRepair())
        operator = {
            "uniform": UniformCrossover,
            "half-uniform": HalfUniformCrossover,
            "one-point": SinglePointCrossover,
            "two-point": TwoPointCrossover,
        }[self.crossover]
        return operator(prob=self.crossover_rate)

    def _mutation(self, n_var: int) -> Any:  # noqa: ANN401 - a pymoo Mutation
        share = min(1.0, self.mutation_rate / n_var)
        if self.mutating == "bit-flip":
            return BitflipMutation(prob=1.0, prob_var=share)
        if self.mutating == "polynomial":
            return PM(prob=1.0, prob_var=share, vtype=float, repair=RoundingRepair())
        return ResetOrCreep(self.mutation_rate - 1.0, self.reset, 0.4)
