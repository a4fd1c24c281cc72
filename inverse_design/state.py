"""What a campaign has done: one record a round, from which everything else is recomputed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from inverse_design.acquisition.history import History
from inverse_design.lab import Lab, Measured
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction, Row
from inverse_design.spec import CampaignSpec
from inverse_design.split import key
from inverse_design.target import Answers, Target, Vector, combine_many, consensus_many, log_feasibility

LEAST = -1e6
"""A log-probability low enough for never; one that is finite can still be ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round as it happened: facts of the decision and one row per sample, in address order."""

    index: int
    facts: Row
    """JSON: strategy, prompts and their weights, effective sample size, fallback, ..."""
    samples: list[Row]
    """Columns as in `campaigns.rounds.COLUMNS`; the fields after a refusing gate are None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One distinct repeat unit that passed every gate and was scored for every target."""

    id: str
    psmiles: str
    canonical: str
    polymer_class: str
    sa_score: float
    similarity: float
    nearest: str
    prompt: str
    round: int
    sample: int
    predictions: Mapping[str, Prediction]
    """What is known of each target's property: predicted, corrected by the laboratory, or measured."""
    log_feasibility: float
    measured: Mapping[str, Measured] = field(default_factory=dict)
    """What the laboratory said of it, by property; remarks under the name of their column."""

    @property
    def probability(self) -> float:
        """Probability that it meets every target."""
        return math.exp(self.log_feasibility)

    @property
    def in_domain(self) -> bool:
        """Whether every target was predicted by a model that knows repeat units like this one."""
        return all(answer.in_domain for answer in self.predictions.values())

    def _repr_html_(self) -> str:
        from inverse_design.drawing import card

        return card(self)


class State:
    """Everything recomputed from the rounds, and from what the laboratory said: `for record in ledger.rounds(): state.add(record)`."""

    def __init__(self, spec: CampaignSpec, lab: Lab | None = None) -> None:
        self.spec = spec
        self.lab = lab or Lab()
        self.rounds = 0
        self.samples = 0
        self.candidates: list[Candidate] = []
        self.seen: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self.progress: list[Row] = []
        self.facts: Row = {}
        self.disagreement: dict[str, list[float]] = {}
        self._blocks: list[History] = []

    def add(self, record: Round) -> None:
        """Fold one round in; rounds come in order."""
        if record.index != self.rounds:
            raise ValueError(f"round {record.index} cannot follow {self.rounds} rounds")
        before = len(self.candidates)
        block = self._scored(record)
        self._blocks.append(block)
        answered = np.isfinite(block.log_feasibility).tolist()
        joint = block.log_feasibility.tolist()
        answers = {
            name: list(zip(block.mean[name].tolist(), block.std[name].tolist(), block.domain[name].tolist(), strict=True))
            for name in block.mean
        }
        for place, row in enumerate(record.samples):
            accepted = row["status"] == "accepted"
            self.reasons["no_answer" if accepted and not answered[place] else row["status"]] += 1
            if row["canonical"]:
                self.seen.add(row["canonical"])
            if accepted and answered[place]:
                predictions = {
                    name: Prediction(mean=own[place][0], std=own[place][1], in_domain=own[place][2])
                    for name, own in answers.items()
                }
                self.candidates.append(_candidate(record.index, row, predictions, joint[place], self.lab))
        self.facts = record.facts
        self.rounds += 1
        self.samples += len(record.samples)
        new = self.candidates[before:]
        self.progress.append(
            {
                "round": record.index,
                "samples": len(record.samples),
                "valid": sum(row["descriptors"] is not None for row in record.samples),
                "accepted": sum(row["status"] == "accepted" for row in record.samples),
                "passing": sum(self.passes(candidate) for candidate in new),
            }
        )

    def _scored(self, record: Round) -> History:
        """Return the round as arrays: answers of the surrogates combined and held against the targets of the spec."""
        rows, targets = record.samples, self.spec.targets
        prompts = {text: [int(number) for number in text.split(",")[-15:]] for text in {row["prompt"] for row in rows}}
        surrogates = sorted({answer["surrogate"] for row in rows for answer in row["predictions"] or ()})
        names = list(dict.fromkeys(term for target in targets for term in PROPERTIES[target.property].asked))
        place = {pair: i for i, pair in enumerate((name, surrogate) for name in names for surrogate in surrogates)}
        shape = (len(rows), len(names), len(surrogates))
        mean, std, domain = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        at, found = [], []
        for number, row in enumerate(rows):
            for answer in row["predictions"] or ():
                column = place.get((answer["property"], answer["surrogate"]))
                if column is not None and answer["mean"] is not None:
                    at.append(number * len(place) + column)
                    found.append((answer["mean"], answer["std"], answer["in_domain"]))
        if found:
            mean.flat[at], std.flat[at], domain.flat[at] = zip(*found, strict=True)
        heard = {}
        for i, name in enumerate(names):
            two = (~np.isnan(mean[:, i])).sum(axis=1) > 1
            if two.any():
                apart = np.nanmax(mean[two, i], axis=1) - np.nanmin(mean[two, i], axis=1)
                self.disagreement.setdefault(name, []).extend(apart.tolist())
            heard[name] = combine_many(mean[:, i], std[:, i], domain[:, i])
        answers = {
            target.property: self._told(target.property, rows, consensus_many(target.property, heard)) for target in targets
        }
        log_feasibility = {target.property: _log_feasibility(target, *answers[target.property][:2]) for target in targets}
        joint = np.sum(list(log_feasibility.values()), axis=0)
        return History(
            requested=np.array([prompts[row["prompt"]] for row in rows], dtype=np.int64).reshape(-1, 15),
            realised=np.array([row["descriptors"] or [-1] * 15 for row in rows], dtype=np.int64).reshape(-1, 15),
            round=np.full(len(rows), record.index),
            accepted=np.isfinite(joint),
            in_domain=np.all([inside for _, _, inside in answers.values()], axis=0) & np.isfinite(joint),
            mean={name: middle for name, (middle, _, _) in answers.items()},
            std={name: spread for name, (_, spread, _) in answers.items()},
            domain={name: inside for name, (_, _, inside) in answers.items()},
            each=log_feasibility,
            log_feasibility=joint,
        )

    def _told(self, name: str, rows: list[Row], predicted: Answers) -> Answers:
        """Return what is known of a property of each sample once the laboratory is heard, arrays (n,)."""
        if not (self.lab.measured or self.lab.corrections):
            return predicted
        mean, std, inside = predicted[0].copy(), predicted[1].copy(), predicted[2].copy()
        for i, row in enumerate(rows):
            if row["status"] == "accepted":
                own = None if np.isnan(mean[i]) else Prediction(mean=float(mean[i]), std=float(std[i]), in_domain=bool(inside[i]))
                answer = self.lab.answer(name, row["canonical"], own)
                if answer is not None:
                    mean[i], std[i], inside[i] = answer.mean, answer.std, answer.in_domain
        return mean, std, inside

    def passes(self, candidate: Candidate) -> bool:
        """Whether a candidate meets every target with the confidence the spec asks for, as told by models in their domain."""
        return candidate.in_domain and candidate.probability >= self.spec.confidence

    def passing(self) -> list[Candidate]:
        """Return the candidates that pass, in the order they were found."""
        return [candidate for candidate in self.candidates if self.passes(candidate)]

    def history(self) -> History:
        """Return all samples as arrays, for the acquisition."""
        return History.of(self._blocks, [target.property for target in self.spec.targets])


def _log_feasibility(target: Target, mean: Vector, std: Vector) -> Vector:
    """As `target.log_feasibility`; -inf where there is no answer."""
    found: Vector = np.full(len(mean), -np.inf)
    rows = np.flatnonzero(~np.isnan(mean))
    found[rows] = np.maximum(log_feasibility(target, mean[rows], std[rows]), LEAST)
    return found


def _candidate(index: int, row: Row, predictions: Mapping[str, Prediction], log_feasibility: float, lab: Lab) -> Candidate:
    return Candidate(
        id=f"{key(row['canonical']):016x}",
        psmiles=row["psmiles"],
        canonical=row["canonical"],
        polymer_class=row["polymer_class"],
        sa_score=row["sa_score"],
        similarity=row["similarity"],
        nearest=row["nearest"],
        prompt=row["prompt"],
        round=index,
        sample=row["sample"],
        predictions=predictions,
        log_feasibility=log_feasibility,
        measured=lab.measured.get(row["canonical"], {}),
    )
