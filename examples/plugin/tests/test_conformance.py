from dmcjia_example.annealing import Annealing
from dmcjia_example.even import Even

from dmcjia_opt.testing import AllocatorConformance, PlacerConformance


class TestAnnealing(PlacerConformance):
    method = Annealing()


class TestEven(AllocatorConformance):
    method = Even()
