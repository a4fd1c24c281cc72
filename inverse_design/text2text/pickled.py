"""From `pytorch_model.bin` to safetensors, once: pickled weights are read as tensors and nothing else."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from inverse_design.errors import ModelError
from inverse_design.text2text.checkpoint import PICKLED, load_checkpoint, superfluous
from inverse_design.text2text.t5 import T5Config


def convert_pickled(folder: Path) -> None:
    """Write `model.safetensors` beside the `pytorch_model.bin` in `folder`, and load it; raises ModelError.

    No code in the file is run: it may hold tensors, and anything else is refused.
    """
    source, target = folder / PICKLED, folder / "model.safetensors"
    if not source.exists():
        raise ModelError(f"{source}: no such file; nothing to convert")
    try:
        with warnings.catch_warnings(action="ignore"):  # of other protocols of pickle, which are read or refused all the same
            tensors = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{source}: holds something else than tensors, and is not read ({reason})") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ModelError(f"{source}: not a table of tensors; wanted the weights of a T5")
    unwanted = superfluous(T5Config.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    part = folder / "model.safetensors.part"
    # Cloned: the file may name one embedding three times, and safetensors stores each name apart.
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in tensors.items() if name not in unwanted}, part, {"format": "pt"}
    )
    part.replace(target)
    try:
        load_checkpoint(folder)
    except ModelError:
        target.unlink()
        raise
