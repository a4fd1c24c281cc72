"""T5 checkpoints, PolyTAO and PolyNC alike: what they are made of, how they answer, how they are trained."""

from typing import Final, Literal

Backend = Literal["torch", "torch-bf16", "ctranslate2"]
"""What computes a network: torch in single precision, torch with products in bf16, or CTranslate2 with eight bits."""

MISSING: Final = 'backend ctranslate2: not installed; pip install "inverse-design[fast]", or choose backend torch'
