"""A generator and a surrogate small enough to run a whole campaign in a second; chemistry, sieve and loop are the real ones."""

import random
from collections.abc import Sequence

from inverse_design.descriptors import realised
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.protocols import Prediction, WorkerSpec
from inverse_design.workers import GeneratorWorker, SurrogateWorker

PIECES = ("C", "CC", "O", "C(C)", "C(C)(C)", "C(=O)O", "NC(=O)", "C(F)(F)", "S")
RINGS = ("c1ccc({})cc1", "c1cc({})ccc1", "c1c(C)cc({})cc1")


class Assembler:
    """Strings pieces together, with about as many aromatic rings as the prompt asks for; one text in ten is broken."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        return [
            [self._text([int(n) for n in prompt.split(",")], seed) for seed in own]
            for prompt, own in zip(prompts, seeds, strict=True)
        ]

    def _text(self, prompt: list[int], seed: int) -> str:
        rng = random.Random(seed)
        if rng.random() < 0.1:
            return "*C(C*"
        body = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 4)))
        text = f"{body}*"
        for ring in range(max(0, min(6, prompt[9] + rng.choice((-1, 0, 0, 1))))):
            text = rng.choice(RINGS).replace("1", str(ring + 1)).replace("{}", rng.choice(("C", "O", "C(C)")) + text)
        return f"*{text}"


class Linear:
    """Tg rises with aromatic rings and falls with rotatable bonds; poly(ether)s get no answer, some answers are out of domain."""

    properties = ("Tg",)

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        answers: list[dict[str, Prediction | None]] = []
        for text in psmiles:
            unit = parse(text)
            assert isinstance(unit, RepeatUnit)
            x = realised(unit.mol)
            mean = 60.0 * x[9] - 12.0 * x[13] + 8.0 * x[3] + 0.1 * x[0]
            answers.append(
                {name: None if "S" in text else Prediction(mean=mean, std=15.0, in_domain=x[0] < 1000) for name in properties}
            )
        return answers


def generator() -> GeneratorWorker:
    return GeneratorWorker(generator=Assembler())


def surrogate() -> SurrogateWorker:
    return SurrogateWorker(name="linear", surrogate=Linear(), properties=("Tg",))


GENERATOR = WorkerSpec(factory="tests.toy:generator")
SURROGATES = {"linear": WorkerSpec(factory="tests.toy:surrogate")}
