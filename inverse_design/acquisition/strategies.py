"""How a round decides what to ask for: feasible yield, Thompson, elite and random, over one pool of realistic prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from inverse_design import seeds
from inverse_design.acquisition.features import Array, IntVectors, Scale, closeness
from inverse_design.acquisition.history import History
from inverse_design.acquisition.pool import Bounds, Realism, build
from inverse_design.acquisition.weights import effective_size, repelled, tempered
from inverse_design.protocols import Row
from inverse_design.target import Target

if TYPE_CHECKING:
    from inverse_design.acquisition.surrogate import Process

NEAR = 0.15
"""Width, in scaled features, within which prompts count as the same neighbourhood."""
ENOUGH = 24
"""Scored candidates before a model is fitted; fewer are explored at random."""
STRANGER = np.log(0.05)
"""What a candidate out of its models' domain is worth as a parent of prompts: it does not count, its relatives may."""
POOLED = 150
"""Parents of the pool's moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps of the method, each a switch, so that a benchmark can ask what it is worth.

    known: start from known polymers that the bundled process says meet the targets; refit: fit hyper-parameters anew in
    every round, not once on known polymers; evidence: what samples of nearby prompts
    gave outweighs the model as they add up; realised: learn from the descriptors that came out, not from those asked for;
    channel: average over what the generator makes of a prompt; domain: model where the surrogates know their way; yields: local
    chance of a new accepted sample; screen: take the better half of the pool's real vectors by the model; repulsion: within the
    batch; moves: share of the draws that are plain moves around the parents, a hedge against a model that is wrong; thompson: share
    of the draws by Thompson sampling.
    """

    known: bool = True
    evidence: bool = True
    refit: bool = False
    realised: bool = True
    channel: bool = False
    domain: bool = True
    yields: bool = True
    screen: bool = False
    repulsion: bool = True
    moves: float = 0.0
    thompson: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What does not change during a campaign: targets, prior and bounds of prompts, and how much is drawn a round.

    known: polymers that were never generated, as a history; fitted: what a process has learnt from them, filled at its first decision.
    """

    targets: Sequence[Target]
    prior: IntVectors
    bounds: Bounds
    confidence: float
    pool: int
    prompts: int
    seed: int
    scale: Scale
    realism: Realism
    known: History | None = None
    fitted: dict[str, Process] = field(default_factory=dict, compare=False, repr=False)
    steps: Steps = Steps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The prompts of a round, each as often as it is drawn, and the facts behind them."""

    prompts: IntVectors
    facts: Row = field(default_factory=dict)


def decide(strategy: str, problem: Problem, history: History, round_index: int, *, wider: bool = False) -> Decision:
    """Return the prompts of round `round_index` by the named strategy; a function of its arguments alone.

    `wider`: spread the weights four times as far as usual, before a campaign is given up.
    """
    rng = seeds.generator(problem.seed, round_index, 0)
    uses_known = strategy not in ("random", "elite") and problem.steps.known and problem.known is not None
    problem = problem if uses_known else replace(problem, known=None)
    examples = len(history.scored) + (0 if problem.known is None else len(problem.known.scored))
    if strategy == "random" or examples < ENOUGH:
        return _random(problem, rng, strategy)
    if strategy == "elite":
        return _elite(problem, history, rng)
    from inverse_design.acquisition.surrogate import one_thread

    with one_thread():
        return _modelled(strategy, problem, history, round_index, rng, wider)


def _random(problem: Problem, rng: np.random.Generator, strategy: str) -> Decision:
    rows = rng.choice(len(problem.prior), size=problem.prompts, replace=len(problem.prior) < problem.prompts)
    return Decision(prompts=problem.prior[rows], facts={"strategy": strategy, "step": "prior"})


def elites(history: History, count: int) -> IntVectors:
    """Return the realised vectors of the best scored candidates, best first; (at most count, 15)."""
    rows = history.scored
    worth = history.log_feasibility[rows] + np.where(history.in_domain[rows], 0.0, STRANGER)
    return history.realised[rows[np.argsort(-worth, kind="stable")][:count]]


def parents(problem: Problem, history: History, count: int, rng: np.random.Generator) -> IntVectors:
    """Return realised vectors to move from, (at most count, 15): the likeliest to pass, and of those that pass any, half of them own."""
    past = history if problem.known is None else History.of([history, problem.known], list(history.mean))
    rows = rng.permutation(past.scored)
    worth = past.log_feasibility[rows] + np.where(past.in_domain[rows], 0.0, STRANGER)
    passes = worth >= np.log(problem.confidence)
    own = rows[passes & (rows < len(history.round))][: count // 2]
    others = rows[np.argsort(-np.where(passes, 0.0, worth), kind="stable")]
    chosen = np.concatenate([own, others[~np.isin(others, own)]])[:count]
    return np.unique(past.realised[chosen], axis=0)


def _elite(problem: Problem, history: History, rng: np.random.Generator) -> Decision:
    moved = _moved(problem, elites(history, problem.prompts // 2), problem.prompts, rng)
    rest = problem.prior[rng.integers(len(problem.prior), size=problem.prompts - len(moved))]
    return Decision(prompts=np.concatenate([moved, rest]), facts={"strategy": "elite", "step": "moves", "moves": len(moved)})


def _moved(problem: Problem, around: IntVectors, count: int, rng: np.random.Generator) -> IntVectors:
    """Return at most `count` moves around these vectors that are within bounds and real."""
    moved = problem.realism.moves(around, 6 * count, rng)
    return moved[problem.bounds.allow(moved) & problem.realism.real(moved)][:count]


def _modelled(
    strategy: str, problem: Problem, history: History, round_index: int, rng: np.random.Generator, wider: bool
) -> Decision:
    from inverse_design.acquisition.utility import Utility

    steps = problem.steps
    utility = Utility.learn(problem, history, round_index)
    pool, origin = build(
        problem.prior,
        parents(problem, history, POOLED, rng),
        problem.pool,
        problem.bounds,
        problem.realism,
        rng,
        utility.promise if steps.screen else None,
    )
    x = problem.scale(pool)
    log_utility = utility.of(pool, x)
    hedge = 0.0 if strategy == "thompson" else steps.moves
    # Half of the moves start anywhere among what passes, half at what passes by the widest margin: each is the better in some campaigns.
    count, few = round(hedge * problem.prompts), problem.prompts // 2
    moved = np.concatenate(
        [
            _moved(problem, parents(problem, history, few, rng), count // 2, rng),
            _moved(problem, elites(history, few), count - count // 2, rng),
        ]
    )
    # Wider weights are of use to draws from the weights alone.
    share = 1.0 if strategy == "thompson" and not wider else steps.thompson
    thompson = utility.thompson(pool, x, log_utility, round(share * problem.prompts))
    spread = problem.prompts * (2 if wider else 0.5)
    weights, temperature = tempered(log_utility, spread)
    near: Array = closeness(x, x, NEAR) if steps.repulsion else np.zeros((len(x), len(x)))
    drawn = repelled(weights, near, problem.prompts - len(thompson) - len(moved), rng)
    counts = Counter(drawn + thompson)
    chosen = sorted(counts, key=lambda index: (-weights[index], index))
    facts: Row = {"strategy": strategy, "step": "wider" if wider else "model", "pool": origin} | utility.facts
    facts |= {
        "temperature": temperature,
        "effective_size": effective_size(weights),
        "prompts": [
            {
                "prompt": ",".join(map(str, pool[i])),
                "weight": float(weights[i]),
                "draws": counts[i],
                "thompson": thompson.count(i),
                "log_utility": float(log_utility[i]),
            }
            for i in chosen
        ],
        "moves": [",".join(map(str, row)) for row in moved],
    }
    return Decision(prompts=np.concatenate([pool[[i for i in chosen for _ in range(counts[i])]], moved]), facts=facts)
