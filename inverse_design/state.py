"""What a campaign has done: one record a round, from which everything else is recomputed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inverse_design.acquisition.history import History
from inverse_design.lab import Lab, Measured
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction, Row
from inverse_design.samples import table_of
from inverse_design.spec import CampaignSpec
from inverse_design.split import key
from inverse_design.target import Answers, Target, Vector, combine_many, consensus_many, log_feasibility

LEAST = -1e6
"""A log-probability low enough for never; one that is finite can still be ordered."""
KEPT: Final = ("sample", "prompt", "psmiles", "canonical", "polymer_class", "sa_score", "similarity", "nearest")
"""Columns of the samples that a candidate is made of."""
REPEATED: Final = ("prompt", "polymer_class", "nearest")
BATCH: Final = 1024
LOOSE: Final = 64
"""Rounds whose arrays are kept apart until they are joined: arrays of one round leave holes in the memory once they go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round as it happened: facts of the decision and one row per sample, in address order."""

    index: int
    facts: Row
    """JSON: strategy, prompts and their weights, effective sample size, fallback, ..."""
    samples: Sequence[Row]
    """Columns as in `samples.SCHEMA`; the fields after a refusing gate are None."""


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


class Candidates(Sequence[Candidate]):
    """Candidates of a state by the numbers of their samples, each made when it is asked for: a million of them fit in memory."""

    def __init__(self, state: State, numbers: NDArray[np.int64]) -> None:
        self.state = state
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> Candidates: ...
    def __getitem__(self, index: int | slice) -> Candidate | Candidates:
        if isinstance(index, slice):
            return Candidates(self.state, self.numbers[index])
        return next(self.state.made(self.numbers[[index]]))

    def __iter__(self) -> Iterator[Candidate]:
        for start in range(0, len(self), BATCH):
            yield from self.state.made(self.numbers[start : start + BATCH])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as lists have none


class State:
    """Everything recomputed from the rounds, and from what the laboratory said: `for record in ledger.rounds(): state.add(record)`.

    Samples are numbered through all rounds, and kept as columns.
    """

    def __init__(self, spec: CampaignSpec, lab: Lab | None = None) -> None:
        self.spec = spec
        self.lab = lab or Lab()
        self.samples = 0
        self.reasons: Counter[str] = Counter()
        self.progress: list[Row] = []
        self.facts: Row = {}
        self.disagreement: dict[str, list[float]] = {}
        self._tables: list[Any] = []
        self._starts: list[int] = []
        self._blocks: list[History] = []

    @property
    def rounds(self) -> int:
        """Number of finished rounds."""
        return len(self._tables)

    def add(self, record: Round) -> None:
        """Fold one round in; rounds come in order."""
        if record.index != self.rounds:
            raise ValueError(f"round {record.index} cannot follow {self.rounds} rounds")
        table = table_of(record.samples)
        block = self._scored(record.index, table)
        accepted = pc.equal(table["status"], "accepted")
        unanswered = pc.and_(accepted, pa.array(~block.accepted))
        for counted in pc.value_counts(pc.if_else(unanswered, "no_answer", table["status"])).to_pylist():
            self.reasons[counted["values"]] += counted["counts"]
        kept = table.select(KEPT)
        for name in REPEATED:
            kept = kept.set_column(KEPT.index(name), name, kept[name].dictionary_encode())
        self._tables.append(kept)
        self._starts.append(self.samples)
        self._blocks.append(block)
        if len(self._blocks) > LOOSE:
            self.history()
        self.facts = record.facts
        self.samples += len(record.samples)
        self.progress.append(
            {
                "round": record.index,
                "samples": len(record.samples),
                "valid": len(record.samples) - table["descriptors"].null_count,
                "accepted": pc.sum(accepted).as_py() or 0,
                "passing": int(self._passes(block).sum()),
            }
        )

    def _scored(self, index: int, table: Any) -> History:
        """Return the round as arrays: answers of the surrogates combined and held against the targets of the spec."""
        targets, prompts = self.spec.targets, table["prompt"].combine_chunks().dictionary_encode()
        vectors = [[int(number) for number in text.split(",")[-15:]] for text in prompts.dictionary.to_pylist()]
        described = table["descriptors"].combine_chunks()
        realised = np.full((len(table), 15), -1, dtype=np.int32)
        realised[described.is_valid().to_numpy(zero_copy_only=False)] = described.flatten().to_numpy().reshape(-1, 15)
        names = list(dict.fromkeys(term for target in targets for term in PROPERTIES[target.property].asked))
        mean, std, domain = _answers(table["predictions"].combine_chunks(), names)
        heard = {}
        for i, name in enumerate(names):
            two = (~np.isnan(mean[:, i])).sum(axis=1) > 1
            if two.any():
                apart = np.nanmax(mean[two, i], axis=1) - np.nanmin(mean[two, i], axis=1)
                self.disagreement.setdefault(name, []).extend(apart.tolist())
            heard[name] = combine_many(mean[:, i], std[:, i], domain[:, i])
        answers = {
            target.property: self._told(target.property, table, consensus_many(target.property, heard)) for target in targets
        }
        log_feasibility = {target.property: _log_feasibility(target, *answers[target.property][:2]) for target in targets}
        joint = np.sum(list(log_feasibility.values()), axis=0)
        return History(
            requested=np.array(vectors, dtype=np.int32).reshape(-1, 15)[prompts.indices.to_numpy()],
            realised=realised,
            round=np.full(len(table), index),
            accepted=np.isfinite(joint),
            in_domain=np.all([inside for _, _, inside in answers.values()], axis=0) & np.isfinite(joint),
            mean={name: middle for name, (middle, _, _) in answers.items()},
            std={name: spread for name, (_, spread, _) in answers.items()},
            domain={name: inside for name, (_, _, inside) in answers.items()},
            each=log_feasibility,
            log_feasibility=joint,
        )

    def _told(self, name: str, table: Any, predicted: Answers) -> Answers:
        """Return what is known of a property of each sample once the laboratory is heard, arrays (n,)."""
        if not (self.lab.measured or self.lab.corrections):
            return predicted
        mean, std, inside = predicted[0].copy(), predicted[1].copy(), predicted[2].copy()
        for i, row in enumerate(table.select(["status", "canonical"]).to_pylist()):
            if row["status"] == "accepted":
                own = None if np.isnan(mean[i]) else Prediction(mean=float(mean[i]), std=float(std[i]), in_domain=bool(inside[i]))
                answer = self.lab.answer(name, row["canonical"], own)
                if answer is not None:
                    mean[i], std[i], inside[i] = answer.mean, answer.std, answer.in_domain
        return mean, std, inside

    def passes(self, candidate: Candidate) -> bool:
        """Whether a candidate meets every target with the confidence the spec asks for, as told by models in their domain."""
        return candidate.in_domain and candidate.log_feasibility >= math.log(self.spec.confidence)

    def _passes(self, history: History) -> NDArray[np.bool_]:
        return history.in_domain & (history.log_feasibility >= math.log(self.spec.confidence))

    @property
    def candidates(self) -> Candidates:
        """All candidates, in the order they were found."""
        return Candidates(self, self.history().scored)

    def passing(self) -> Candidates:
        """Return the candidates that pass, in the order they were found."""
        return Candidates(self, np.flatnonzero(self._passes(self.history())))

    def made(self, numbers: NDArray[np.int64]) -> Iterator[Candidate]:
        """Yield the candidates that these samples are, in order."""
        history, rows = self.history(), dict[int, Row]()
        rounds = np.searchsorted(self._starts, numbers, side="right") - 1
        for index in np.unique(rounds).tolist():
            mine = numbers[rounds == index]
            found = self._tables[index].take(pa.array(mine - self._starts[index])).to_pylist()
            rows |= zip(mine.tolist(), found, strict=True)
        for number, index in zip(numbers.tolist(), rounds.tolist(), strict=True):
            predictions = {
                name: Prediction(
                    mean=float(history.mean[name][number]),
                    std=float(history.std[name][number]),
                    in_domain=bool(history.domain[name][number]),
                )
                for name in history.mean
            }
            yield _candidate(index, rows[number], predictions, float(history.log_feasibility[number]), self.lab)

    def column(self, name: str, numbers: NDArray[np.int64]) -> Any:
        """Return one of the columns `KEPT` of the samples with these numbers, which rise, as an Arrow array."""
        chunks = [
            table[name].take(pa.array(part - start))
            for table, start, part in zip(
                self._tables, self._starts, np.split(numbers, np.searchsorted(numbers, self._starts[1:])), strict=True
            )
        ]
        return pa.chunked_array([chunk for column in chunks for chunk in column.chunks])

    def seen(self, canonical: Sequence[str | None]) -> set[str]:
        """Return those of some canonical repeat units that were met before."""
        asked = pa.array(canonical, pa.string()).drop_null()
        met = [table["canonical"].filter(pc.is_in(table["canonical"], value_set=asked)) for table in self._tables]
        return {text for column in met for text in column.to_pylist()}

    def history(self) -> History:
        """Return all samples as arrays, for the acquisition."""
        if len(self._blocks) != 1:
            self._blocks = [History.of(self._blocks, [target.property for target in self.spec.targets])]
        return self._blocks[0]


def _answers(predictions: Any, names: Sequence[str]) -> tuple[Vector, Vector, NDArray[np.bool_]]:
    """Return mean, std and whether in domain of each answer, (samples, names, surrogates); NaN and False where there is none."""
    parent, answers = pc.list_parent_indices(predictions).to_numpy(), pc.list_flatten(predictions)
    said = {name: pc.struct_field(answers, name) for name in ("surrogate", "property", "mean", "std", "in_domain")}
    surrogates = sorted(pc.unique(said["surrogate"]).to_pylist())
    shape = (len(predictions), len(names), len(surrogates))
    mean, std, domain = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    asked = pc.index_in(said["property"], pa.array(names, pa.string()))
    used = np.flatnonzero(pc.and_(asked.is_valid(), said["mean"].is_valid()).to_numpy(zero_copy_only=False))
    if len(used):
        by = pc.index_in(said["surrogate"], pa.array(surrogates, pa.string()))
        at = (parent[used], asked.take(pa.array(used)).to_numpy(), by.take(pa.array(used)).to_numpy())
        for array, name in ((mean, "mean"), (std, "std"), (domain, "in_domain")):
            array[at] = said[name].take(pa.array(used)).to_numpy(zero_copy_only=False)
    return mean, std, domain


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
