"""The spec of a campaign: what is wanted, and what may be spent to find it. Valid once it exists, and never changed."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from builtins import property as computed  # `Target` has a field of that name
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from inverse_design.descriptor_names import NAMES, contradiction
from inverse_design.properties import PROPERTIES
from inverse_design.text2text import Backend
from inverse_design.units import Unit, spelled

FORMAT: Final = 1
MAY_CHANGE: Final = frozenset({"want", "budget"})
"""Fields that a resumed campaign may change; every other one decides what was generated or how it was judged."""

LATER: Final[Mapping[str, object]] = {"backend": "torch", "device": "cpu"}
"""Fields that came later, with the value that means what was done before: with it they are no part of a digest, so that older
campaigns can be resumed."""

_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" for the known name closest to `word`, or "" when none is close."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def _one_of(word: str, what: str, known: Iterable[str]) -> str:
    names = tuple(known)
    if word not in names:
        raise ValueError(f"unknown {what} {word!r}{nearest(word, names) or '; one of: ' + ', '.join(names)}")
    return word


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
AtLeastOne = Annotated[int, Field(strict=True, ge=1)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=500)]
Flag = Annotated[bool, Field(strict=True)]


class Part(BaseModel):
    """Unknown keys are errors, values are frozen, and what was not given is not written out."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        optional = {field.alias or name for name, field in fields.items() if field.default is None}
        return {name: value for name, value in write(self).items() if value is not None or name not in optional}


class Target(Part):
    """One property and what it must be: bounds, a direction, or both. At most one target a property."""

    property: Text
    """Name of the property."""
    unit: Text | None = None
    """Unit of the numbers below; the property's own unit when left out."""
    min: Number | None = None
    """Least acceptable value."""
    max: Number | None = None
    """Greatest acceptable value."""
    range: tuple[Number, Number] | None = None
    """Least and greatest acceptable value, [lowest, highest]."""
    value: Number | None = None
    """Wanted value; needs a tolerance."""
    tolerance: Positive | None = None
    """Greatest acceptable distance from `value`."""
    maximize: Flag = False
    """Among candidates within the bounds, the higher the better."""
    minimize: Flag = False
    """Among candidates within the bounds, the lower the better."""
    weight: Annotated[Positive, Field(le=1000)] = 1.0
    """Relative importance among objectives."""

    @field_validator("property")
    @classmethod
    def _known(cls, name: str) -> str:
        return _one_of(name, "property", PROPERTIES)

    @field_validator("unit")
    @classmethod
    def _accepted(cls, unit: str | None, info: ValidationInfo) -> str | None:
        known = PROPERTIES.get(info.data.get("property", ""))
        if unit is None or known is None or unit in known.accepted:
            return unit
        if (usual := spelled(unit)) in known.accepted:
            return usual
        raise ValueError(f"unknown unit {unit!r} for {known.name}; accepted: {', '.join(known.accepted)}")

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        bounds = self.min is not None or self.max is not None
        if bounds + (self.range is not None) + (self.value is not None) > 1:
            raise ValueError("give one of: min and max, range, value and tolerance")
        if (self.value is None) != (self.tolerance is None):
            raise ValueError("value and tolerance go together, as in {value: 5, tolerance: 0.5}")
        if self.maximize and self.minimize:
            raise ValueError("maximize and minimize exclude each other")
        if self.value is not None and self.direction:
            raise ValueError(f"{self.direction} and value exclude each other")
        if self.direction is None and not math.isfinite(self.low) and not math.isfinite(self.high):
            raise ValueError("nothing is asked; give min, max, range, value and tolerance, maximize: true or minimize: true")
        known = PROPERTIES[self.property]
        if self.low >= self.high:
            raise ValueError(
                f"nothing lies between {self._asked(self.low)} and {self._asked(self.high)}; the lower bound comes first"
            )
        if self.low >= known.high or self.high <= known.low:
            asked = self._asked(self.low if self.low >= known.high else self.high)
            reach = " and ".join(self.shown.brief(end) for end in (known.low, known.high))
            raise ValueError(
                f"{asked} is out of reach: {known.name} lies between {reach} {self.shown.name};"
                f" check the unit (accepted: {', '.join(known.accepted)})"
            )
        return self

    def _asked(self, value: float) -> str:
        return f"{self.shown.value(value):g} {self.shown.name}"

    def _own(self, value: float) -> float:
        known = PROPERTIES[self.property]
        return known.convert(value, self.unit or known.unit)

    @computed
    def shown(self) -> Unit:
        """The unit that people are told values in: the one of the numbers above."""
        return Unit.of(PROPERTIES[self.property], self.unit)

    @computed
    def low(self) -> float:
        """Lower bound in the property's own unit, -inf when open."""
        if self.value is not None and self.tolerance is not None:
            return self._own(self.value - self.tolerance)
        least = self.range[0] if self.range else self.min
        return -math.inf if least is None else self._own(least)

    @computed
    def high(self) -> float:
        """Upper bound in the property's own unit, +inf when open."""
        if self.value is not None and self.tolerance is not None:
            return self._own(self.value + self.tolerance)
        most = self.range[1] if self.range else self.max
        return math.inf if most is None else self._own(most)

    @computed
    def direction(self) -> Literal["maximize", "minimize"] | None:
        """Which way is better within the bounds."""
        return "maximize" if self.maximize else "minimize" if self.minimize else None


class Bounds(Part):
    """Least and greatest value of a descriptor, both allowed."""

    min: Count | None = None
    max: Count | None = None

    @model_validator(mode="after")
    def _given(self) -> Bounds:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self

    @property
    def low(self) -> float:
        """Least value, 0 when open."""
        return self.min or 0

    @property
    def high(self) -> float:
        """Greatest value, +inf when open."""
        return math.inf if self.max is None else self.max


class Difficulty(Part):
    """Bound on the synthetic accessibility score of the H-capped repeat unit (1 easy, 10 hard; a heuristic)."""

    max: Annotated[float, Field(strict=True, gt=1, le=10)] = 4.5


def _smarts(pattern: str) -> str:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmarts(pattern) if pattern.isascii() and pattern.isprintable() else None
    if mol is None or not mol.GetNumAtoms():
        raise ValueError(f"{pattern!r} is not a SMARTS pattern")
    return pattern


def _element(symbol: str) -> str:
    from inverse_design.polymer import ELEMENTS

    return _one_of(symbol, "element", sorted(ELEMENTS - {"*"}))


def _class(name: str) -> str:
    from inverse_design.structure import CLASSES

    return _one_of(name, "polymer class", CLASSES)


Many = BeforeValidator(lambda value: [value] if isinstance(value, str) else value, json_schema_input_type=str | list[str])
PolymerClass = Annotated[Text, AfterValidator(_class)]
Smarts = Annotated[Text, AfterValidator(_smarts)]
Element = Annotated[Text, AfterValidator(_element)]
Descriptor = Annotated[Text, AfterValidator(lambda name: _one_of(name, "descriptor", NAMES))]


class Structure(Part):
    """What a repeat unit must be. Everything left out is free."""

    classes: Annotated[tuple[PolymerClass, ...], Many, Field(alias="class")] = ()
    """One polymer class or several; a candidate must be of one of them."""
    required: Annotated[tuple[Smarts, ...], Many] = ()
    """SMARTS patterns that a candidate must have, all of them. Quote them."""
    forbidden: Annotated[tuple[Smarts, ...], Many] = ()
    """SMARTS patterns that a candidate must not have, none of them. Quote them."""
    elements: Annotated[tuple[Element, ...], Many] = ()
    """Symbols of the only elements allowed besides hydrogen; any when left out."""
    descriptors: dict[Descriptor, Bounds] = {}
    """Bounds on descriptors of the repeat unit with its two attachment points."""
    sa_score: Difficulty | None = Difficulty()
    """How hard a candidate may be to make; `null` for any."""
    alerts: Flag = True
    """Refuse what no chemist would order: unstable or explosive groups, and artefacts of writing SMILES."""
    makeable: Flag | None = None
    """`true` to refuse what no known polymerisation leads to."""
    monomer_sa_score: Difficulty | None = None
    """How hard the hardest monomer may be to make; asks for a route too."""
    stock: Text | None = None
    """CSV file of monomers (column smiles or SMILES) that everything must be made from; asks for a route too."""

    @field_validator("descriptors")
    @classmethod
    def _possible(cls, bounds: dict[str, Bounds]) -> dict[str, Bounds]:
        if why := contradiction({name: (bound.low, bound.high) for name, bound in bounds.items()}):
            raise ValueError(why)
        return bounds

    @model_validator(mode="after")
    def _satisfiable(self) -> Structure:
        if both := set(self.required) & set(self.forbidden):
            raise ValueError(f"{min(both)!r} is both required and forbidden")
        if self.makeable is False and (self.monomer_sa_score or self.stock):
            raise ValueError("monomer_sa_score and stock ask for a route; leave out makeable: false")
        return self


class Novelty(Part):
    """How far a candidate must be from known polymers."""

    reference: Text = "bundled"
    """`bundled`, `none`, or a CSV file of your own (column smiles, SMILES, Smiles, psmiles or PSMILES)."""
    max_similarity: Share = 0.95
    """Greatest Tanimoto similarity to a known polymer; a known polymer itself is always refused."""


class ModelChoice(Part):
    """A model by its name, or a program of one's own."""

    model: Text | None = None
    """`bundled:NAME`, `hub:OWNER/NAME@REVISION`, a folder, or `plugin:NAME` for an installed package of one's own."""
    backend: Backend = "torch"
    """What computes a text-to-text model: `torch` in single precision, as its authors do; `torch-bf16`, about twice as fast, where the
    processor has bf16; or `ctranslate2` with eight bits (pip install "inverse-design[fast]"), whose texts depend on their batch."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where a text-to-text model runs; workers share the GPUs there are."""
    options: dict[str, str | int | float | bool] | None = None
    """What a plug-in is built with; a text that names a file is read from where the spec is."""
    command: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """A program of one's own and its arguments, as in [python, my_model.py], in place of `model`; no shell is involved."""
    timeout: Annotated[Positive, Field(le=86_400)] | None = None
    """Seconds in which a program must answer one batch; 300 when left out."""
    retries: Annotated[Count, Field(le=10)] | None = None
    """How often a program that failed is started again before the campaign stops; 2 when left out."""
    concurrency: AtLeastOne | None = None
    """Processes of a program or plug-in at once, at most; as many as there are workers when left out."""

    @model_validator(mode="before")
    @classmethod
    def _without_default(cls, given: Any) -> Any:
        """A command takes the place of the model that is there by default."""
        return {"model": None, **given} if isinstance(given, dict) and given.get("command") is not None else given

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.model is None) == (self.command is None):
            raise ValueError("give model or command, one of them")
        if self.options and not (self.model or "").startswith("plugin:"):
            raise ValueError("options are for a plug-in (model: plugin:NAME); put those of a program into command")
        if self.command is None and (self.timeout, self.retries) != (None, None):
            raise ValueError("timeout and retries are for a command")
        if self.own and (self.backend, self.device) != ("torch", "cpu"):
            raise ValueError("backend and device are for a checkpoint; a program or plug-in computes as it likes")
        if self.concurrency is not None and not self.own:
            raise ValueError("concurrency is for a command or plug-in; --workers sets the processes of the others")
        return self

    @computed
    def own(self) -> bool:
        """Whether it is the user's own: a program or a plug-in."""
        return self.command is not None or (self.model or "").startswith("plugin:")

    @computed
    def called(self) -> str:
        """What it is called in the ledger: the model's name, or the command."""
        return self.model or " ".join(self.command or ())


class GeneratorChoice(ModelChoice):
    """The model that proposes candidates, and how it is sampled (defaults of PolyTAO's authors)."""

    model: Text | None = "bundled:polytao"
    """`bundled:polytao`, `hub:OWNER/NAME@REVISION`, a folder, or `plugin:NAME` for an installed package of one's own."""
    condition: dict[Text, Number] | None = None
    """Property values before the 15 descriptors of every prompt, with two decimals. `bundled:polytao` keeps to them by choice
    among samples (`{Tg: 180, bandgap_chain: 4.5}`, in the units of the properties); a checkpoint fine-tuned on values reads
    them in the order in which it was taught them, in its own units, under names of your choice."""
    temperature: Annotated[Positive, Field(le=10)] = 1.0
    top_k: AtLeastOne = 100
    """Draw among this many likeliest tokens; 1 is greedy."""
    top_p: Annotated[Share, Field(gt=0)] = 0.999
    """Draw among the likeliest tokens that hold this much probability."""

    @computed
    def prefix(self) -> str:
        """What stands before the 15 descriptors of every prompt: `-6.19,` for a condition of -6.19."""
        return "".join(f"{value:.2f}," for value in (self.condition or {}).values())


class SurrogateChoice(ModelChoice):
    """A model that predicts properties."""

    properties: tuple[Text, ...] | None = None
    """What a program or plug-in of one's own answers; a model with weights says so itself, and is asked for just these where they are named."""

    @field_validator("properties")
    @classmethod
    def _in_table(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return names and tuple(_one_of(name, "property", PROPERTIES) for name in names)

    @model_validator(mode="after")
    def _said(self) -> Self:
        if not self.properties and (self.own or self.properties is not None):
            raise ValueError("a command or plug-in needs properties, as in [Tg]; for a model with weights they may be left out")
        return self


def _named(choice: object) -> object:
    """`bundled:polync` stands for `{model: bundled:polync}`."""
    return {"model": choice} if isinstance(choice, str) else choice


Named = Annotated[SurrogateChoice, BeforeValidator(_named, json_schema_input_type=str | SurrogateChoice)]


class Acquisition(Part):
    """How prompts are weighted from one round to the next."""

    strategy: Literal["feasible-yield", "thompson", "elite", "random"] = "thompson"
    pool: Annotated[AtLeastOne, Field(le=20_000)] = 1500
    """Prompts weighed a round."""
    samples_per_round: Annotated[AtLeastOne, Field(le=100_000)] = 384
    """Texts generated a round."""
    samples_per_prompt: Annotated[AtLeastOne, Field(le=1000)] = 4
    """Texts generated from a prompt that is drawn once."""

    @field_validator("samples_per_prompt")
    @classmethod
    def _fits(cls, count: int, info: ValidationInfo) -> int:
        if count > info.data.get("samples_per_round", count):
            raise ValueError(f"{count} is more than samples_per_round ({info.data['samples_per_round']})")
        return count


class Want(Part):
    """When the campaign is done: enough distinct candidates that pass, different enough from each other."""

    candidates: AtLeastOne = 25
    """Distinct candidates that pass."""
    clusters: AtLeastOne = 5
    """Structural clusters they must fall into, at least."""

    @model_validator(mode="after")
    def _countable(self) -> Want:
        if self.clusters > self.candidates:
            raise ValueError(f"clusters ({self.clusters}) cannot exceed candidates ({self.candidates})")
        return self


class Budget(Part):
    """What may be spent; the first limit reached ends the campaign."""

    rounds: AtLeastOne = 20
    samples: AtLeastOne | None = 20_000
    """Texts generated in all; `null` for no limit."""
    hours: Positive | None = None
    """Hours of running, summed over interruptions."""


def _one_target_a_property(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    if not targets:
        raise ValueError("nothing is asked; give at least one target, as in [{property: Tg, min: 350, unit: degC}]")
    seen: dict[str, int] = {}
    for index, target in enumerate(targets):
        if target.property in seen:
            raise ValueError(f"targets {seen[target.property]} and {index} are both on {target.property}; join them into one")
        seen[target.property] = index
    return targets


def _at_least_one_model(choices: tuple[SurrogateChoice, ...]) -> tuple[SurrogateChoice, ...]:
    models = [choice.called for choice in choices]
    if not models:
        raise ValueError("give at least one model, or leave surrogates out for the bundled ones")
    if twice := {model for model in models if models.count(model) > 1}:
        raise ValueError(f"{min(twice)} is given twice")
    return choices


def _file_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) or name.endswith("."):
        raise ValueError(
            f"{name!r} cannot name a folder everywhere; use 1 to 64 of a-z, 0-9, '-', '_' and '.', a letter or digit first, no '.' last"
        )
    if _WINDOWS.fullmatch(name):
        raise ValueError(f"{name!r} is a reserved name on Windows; choose another")
    return name


def _this_format(number: object) -> object:
    if number != FORMAT or type(number) is not int:
        raise ValueError(f"this version reads schema {FORMAT}, not {number!r}; write schema: {FORMAT}")
    return number


class CampaignSpec(Part):
    """A whole campaign. `schema`, `name` and `targets` must be given, all else has a default."""

    format: Annotated[Literal[1], BeforeValidator(_this_format), Field(alias="schema")]
    """Version of this format."""
    name: Annotated[Text, AfterValidator(_file_name)]
    """Name of the campaign and its folder."""
    seed: Annotated[Count, Field(le=2**63 - 1)] = 0
    """Everything random follows from it."""
    targets: Annotated[tuple[Target, ...], AfterValidator(_one_target_a_property)]
    """What the properties must be, all of them at once."""
    structure: Structure = Structure()
    novelty: Novelty = Novelty()
    generator: GeneratorChoice = GeneratorChoice()
    surrogates: Annotated[tuple[Named, ...], AfterValidator(_at_least_one_model)] = (
        SurrogateChoice(model="bundled:polync"),
        SurrogateChoice(model="bundled:polyscreen"),
        SurrogateChoice(model="bundled:tanimoto"),
    )
    """Models that predict the properties; together they must answer every target."""
    acquisition: Acquisition = Acquisition()
    want: Want = Want()
    confidence: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.6
    """Joint probability of passing all targets that a candidate needs to count."""
    budget: Budget = Budget()

    def as_json(self) -> dict[str, Any]:
        """Return the spec with every default written out; `model_validate` reads it back to an equal spec."""
        return self.model_dump(mode="json", by_alias=True)

    def shown(self, name: str) -> Unit:
        """Return the unit that people are told a property in: that of its target, its own where there is none."""
        asked = next((target.unit for target in self.targets if target.property == name), None)
        return Unit.of(PROPERTIES[name], asked)

    def digest(self) -> str:
        """Return the SHA-256 of the spec's canonical JSON, in hexadecimal."""
        return _digest(self.as_json())

    def identity(self) -> str:
        """Return the digest of what may not change on resume: everything but `MAY_CHANGE`."""
        return _digest({name: value for name, value in self.as_json().items() if name not in MAY_CHANGE})


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps(_as_before(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    ).hexdigest()


def _as_before(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_before(own) for name, own in value.items() if name not in LATER or own != LATER[name]}
    return [_as_before(own) for own in value] if isinstance(value, list) else value


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a campaign file, for editors; names of properties, classes and descriptors included."""
    from inverse_design.structure import CLASSES

    schema = CampaignSpec.model_json_schema(by_alias=True)
    parts = schema["$defs"]
    parts["Target"]["properties"]["property"]["enum"] = list(PROPERTIES)
    parts["Structure"]["properties"]["class"]["anyOf"] = [
        {"enum": list(CLASSES)},
        {"type": "array", "items": {"enum": list(CLASSES)}},
    ]
    parts["Structure"]["properties"]["descriptors"]["propertyNames"] = {"enum": list(NAMES)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Campaign"}
