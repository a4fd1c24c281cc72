"""What a campaign has done: one record a round, from which everything else is recomputed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inverse_design.acquisition.strategies import History
from inverse_design.lab import Lab, Measured
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction, Row
from inverse_design.spec import CampaignSpec
from inverse_design.split import key
from inverse_design.target import combined, joint_log_feasibility


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
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("requested", "realised", "round", "accepted", "log_feasibility")
        }
        self._scores: list[dict[str, Prediction]] = []

    def add(self, record: Round) -> None:
        """Fold one round in; rounds come in order."""
        if record.index != self.rounds:
            raise ValueError(f"round {record.index} cannot follow {self.rounds} rounds")
        before = len(self.candidates)
        for row in record.samples:
            self._add_sample(record.index, row)
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

    def _add_sample(self, round_index: int, row: Row) -> None:
        accepted = row["status"] == "accepted"
        answers = self._answers(row["predictions"] or [], row["canonical"]) if accepted else None
        feasibility = -math.inf if answers is None else joint_log_feasibility(self.spec.targets, answers)
        columns = self._columns
        columns["requested"].append([int(number) for number in row["prompt"].split(",")[-15:]])
        columns["realised"].append(row["descriptors"] or [-1] * 15)
        columns["round"].append(round_index)
        # Where surrogates cannot be trusted, there is nothing to gain for the acquisition either.
        columns["accepted"].append(answers is not None and all(answer.in_domain for answer in answers.values()))
        columns["log_feasibility"].append(feasibility)
        self._scores.append(answers or {})
        self.reasons["accepted" if accepted and answers is not None else "no_answer" if accepted else row["status"]] += 1
        if row["canonical"]:
            self.seen.add(row["canonical"])
        if answers is not None:
            self.candidates.append(
                Candidate(
                    id=f"{key(row['canonical']):016x}",
                    log_feasibility=feasibility,
                    predictions=answers,
                    measured=self.lab.measured.get(row["canonical"], {}),
                    round=round_index,
                    **{
                        name: row[name]
                        for name in (
                            "psmiles",
                            "canonical",
                            "polymer_class",
                            "sa_score",
                            "similarity",
                            "nearest",
                            "prompt",
                            "sample",
                        )
                    },
                )
            )

    def _answers(self, predictions: list[Row], canonical: str) -> dict[str, Prediction] | None:
        """Return one answer per target, or None where neither a surrogate nor the laboratory has one."""
        answers = {}
        for target in self.spec.targets:
            for term in PROPERTIES[target.property].asked:
                heard = [row["mean"] for row in predictions if row["property"] == term and row["mean"] is not None]
                if len(heard) > 1:
                    self.disagreement.setdefault(term, []).append(max(heard) - min(heard))
            answer = self.lab.answer(target.property, canonical, combined(predictions, target.property))
            if answer is None:
                return None
            answers[target.property] = answer
        return answers

    def passes(self, candidate: Candidate) -> bool:
        """Whether a candidate meets every target with the confidence the spec asks for, as told by models in their domain."""
        return candidate.in_domain and candidate.probability >= self.spec.confidence

    def passing(self) -> list[Candidate]:
        """Return the candidates that pass, in the order they were found."""
        return [candidate for candidate in self.candidates if self.passes(candidate)]

    def history(self) -> History:
        """Return all samples as arrays, for the acquisition."""
        names = [target.property for target in self.spec.targets]
        nan = float("nan")
        return History(
            requested=np.array(self._columns["requested"], dtype=np.int64).reshape(-1, 15),
            realised=np.array(self._columns["realised"], dtype=np.int64).reshape(-1, 15),
            round=np.array(self._columns["round"], dtype=np.int64),
            accepted=np.array(self._columns["accepted"], dtype=bool),
            mean={name: np.array([row[name].mean if row else nan for row in self._scores]) for name in names},
            std={name: np.array([row[name].std if row else nan for row in self._scores]) for name in names},
            log_feasibility=np.array(self._columns["log_feasibility"], dtype=np.float64),
        )
