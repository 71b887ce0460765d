"""DRL: a small network that says how likely each option is, taught by the policy gradient.

Source: R. J. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
Machine Learning 8, 1992, doi:10.1007/BF00992696, with the mean of the batch as baseline as in I. Bello et al., "Neural
combinatorial optimization with reinforcement learning", arXiv:1611.09940; Adam by D. P. Kingma and J. Ba,
arXiv:1412.6980. Papers on offloading by deep reinforcement learning put a network of this size in this place.

Each option of each node has a few features: delay that no share changes, service times, loads, its place in the menu.
One hidden layer makes a score of them, the softmax over a menu a probability. In each step a batch of plans is drawn,
the allocator gives them shares, and plans better than the mean of the batch become more likely. It is taught on the
instance that it is asked about, from scratch, and all of that counts.
"""

from __future__ import annotations

import numpy as np

from dmcjia_opt import Problem, Search
from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.solving.contract import AnyProblem
from dmcjia_opt.solving.options import Count, Factor, method

_FORGET = (0.9, 0.999)  # of Adam's two moments


@method
class PolicyGradient(AnyProblem):
    """Draws plans from a softmax over options, and moves it towards those that are better than their batch.

    Parameters
    ----------
    batch
        Plans drawn in a step.
    hidden
        Units of the hidden layer.
    rate
        Learning rate of Adam.
    entropy
        What is paid for undecided nodes, relative to the spread of the delays in a batch.
    steps
        Steps when no budget is given.
    """

    batch: Count = 32
    hidden: Count = 32
    rate: Factor = 0.02
    entropy: Factor = 0.003
    steps: Count = 200

    def search(self, search: Search, rng: np.random.Generator) -> None:
        """Draw and learn until the budget or the steps are spent."""
        problem = search.problem
        features, exists = features_of(problem)
        width = features.shape[-1]
        weights = [rng.normal(0.0, width**-0.5, (width, self.hidden)), np.zeros(self.hidden)]
        moments = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
        step = 0
        while search.budgeted or step < self.steps:
            step += 1
            hidden = np.tanh(features @ weights[0])
            score = np.where(exists, hidden @ weights[1], -np.inf)
            odds = np.exp(score - score.max(axis=1, keepdims=True))
            odds /= odds.sum(axis=1, keepdims=True)
            drawn = np.where(exists, score, -np.inf) + rng.gumbel(size=(self.batch, *score.shape))
            plans = drawn.argmax(axis=-1)
            plans[0] = score.argmax(axis=1)
            delay = search.finite(plans)
            search.tick()
            spread = delay.std()
            gain = (delay.mean() - delay) / spread if spread > 0 else np.zeros(self.batch)
            toward = np.zeros_like(odds)
            for k in range(self.batch):
                toward[np.arange(problem.n_nodes), plans[k]] += gain[k]
            toward = (toward - gain.sum() * odds) / self.batch
            surprise = -np.log(np.maximum(odds, 1e-300))
            toward += self.entropy * odds * (surprise - (odds * surprise).sum(axis=1, keepdims=True))
            inner = toward[..., None] * weights[1] * (1.0 - hidden * hidden)
            flat = features.reshape(-1, width)
            gradient = [flat.T @ inner.reshape(-1, self.hidden), np.einsum("dok,do->k", hidden, toward)]
            for w, (first, second), g in zip(weights, moments, gradient, strict=True):
                for moment, forget, value in zip((first, second), _FORGET, (g, g * g), strict=True):
                    moment *= forget
                    moment += (1.0 - forget) * value
                grown = [m / (1.0 - f**step) for m, f in zip((first, second), _FORGET, strict=True)]
                w += self.rate * grown[0] / (np.sqrt(grown[1]) + 1e-8)


def features_of(problem: Problem) -> tuple[FloatArray, np.ndarray]:
    """Return features (n_nodes, n_options, n_features) of about one, and which options exist."""
    exists = np.isfinite(problem.fixed_delay)
    exists |= ~exists.any(axis=1, keepdims=True) & (np.arange(problem.n_options) <= problem.last[:, None])
    fixed = np.where(np.isfinite(problem.fixed_delay), problem.fixed_delay, 0.0)
    rate = problem.arrival_rate[:, None, None]
    place = np.arange(problem.n_options) / np.maximum(problem.last[:, None], 1)
    raw = [fixed[..., None], problem.service, rate * problem.service, (place * exists)[..., None]]
    raw = [part / max(float(np.abs(part[exists]).mean()), np.finfo(np.float64).tiny) for part in raw]
    features = np.concatenate([*raw, np.ones((*exists.shape, 1))], axis=-1)
    return np.where(exists[..., None], np.minimum(features, 10.0), 0.0), exists
