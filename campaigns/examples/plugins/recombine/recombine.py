"""A generator as a Python package: strings building blocks together until the repeat unit is as heavy as the prompt asks."""

import random
from collections.abc import Sequence

AROMATIC = ("c1ccc({})cc1", "c1cccc({})c1", "c1cc(C)c({})cc1", "c1ccc(-c2ccc({})cc2)cc1")
CHAIN = ("C{}", "CC{}", "C(C){}", "C(C)(C){}", "O{}", "C(=O)O{}", "OC(=O){}", "NC(=O){}", "C(F)(F){}", "S(=O)(=O){}")


class Recombine:
    """Any class or function that returns an object with this `generate` can be an entry point."""

    def __init__(self, longest: int = 12) -> None:
        self.longest = longest

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return one text per seed for each prompt; a text depends on its prompt and its seed alone."""
        return [[self._text(prompt, seed) for seed in own] for prompt, own in zip(prompts, seeds, strict=True)]

    def _text(self, prompt: str, seed: int) -> str:
        numbers = [int(number) for number in prompt.split(",")[-15:]]
        heavy, rings = numbers[1], numbers[9]
        draw = random.Random(f"{prompt} {seed}")
        text = "*{}"
        for _ in range(self.longest):
            atoms = sum(letter.isalpha() for letter in text)
            if atoms >= heavy:
                break
            aromatic = rings > 0 and draw.random() < min(0.8, 6 * rings / heavy)
            text = text.replace("{}", draw.choice(AROMATIC if aromatic else CHAIN))
        return text.replace("{}", "*")
