"""Where the targets are met among known polymers, before anything is generated: what a campaign starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inverse_design import reference
from inverse_design.acquisition.features import Array, IntVectors
from inverse_design.acquisition.history import History
from inverse_design.acquisition.pool import Bounds
from inverse_design.errors import SpecError
from inverse_design.properties import PROPERTIES
from inverse_design.spec import Structure
from inverse_design.target import Target, consensus_many, log_feasibility


def start(targets: Sequence[Target], structure: Structure) -> tuple[IntVectors, Bounds, History | None]:
    """Return the prompts that a structure allows (n, 15), its bounds on them, and what is known of the targets there.

    Raises SpecError where no reference polymer is of the class within the bounds.
    """
    bounds = Bounds(limits={name: (bound.low, bound.high) for name, bound in structure.descriptors.items()})
    vectors = reference.prior(structure.classes)
    within = bounds.allow(vectors)
    if not within.any():
        raise SpecError("structure: no reference polymer has this class within these descriptor bounds; widen them")
    answers = {name: (mean[within], std) for name, (mean, std) in reference.answers(structure.classes).items()}
    return vectors[within], bounds, known(targets, vectors[within], answers)


def known(targets: Sequence[Target], vectors: IntVectors, answers: Mapping[str, tuple[Array, float]]) -> History | None:
    """Return known polymers as a history: what was asked for is what they are, and none of them counts as new.

    vectors: (n, 15); answers: as `reference.answers` gives, its rows those of `vectors`; only polymers with an answer to every target
    are in it. None where a target is on a property without answers.
    """
    if any(term not in answers for target in targets for term in PROPERTIES[target.property].asked):
        return None
    heard = {name: (mean, np.full(len(mean), std), ~np.isnan(mean)) for name, (mean, std) in answers.items()}
    told = {target.property: consensus_many(target.property, heard) for target in targets}
    rows = np.flatnonzero(np.all([inside for _, _, inside in told.values()], axis=0))
    mean = {name: answer[0][rows] for name, answer in told.items()}
    std = {name: answer[1][rows] for name, answer in told.items()}
    each = {target.property: log_feasibility(target, mean[target.property], std[target.property]) for target in targets}
    everywhere = np.ones(len(rows), dtype=bool)
    return History(
        requested=vectors[rows],
        realised=vectors[rows],
        round=np.full(len(rows), -1),
        accepted=~everywhere,
        in_domain=everywhere,
        mean=mean,
        std=std,
        domain=dict.fromkeys(mean, everywhere),
        each=each,
        log_feasibility=np.sum(list(each.values()), axis=0),
    )
