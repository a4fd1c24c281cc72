"""A repeat unit as chemists draw it: brackets across the two open bonds, with a subscript n; a candidate as a notebook shows it."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from inverse_design.properties import PROPERTIES

if TYPE_CHECKING:
    from inverse_design.state import Candidate

SIZE: Final = (310, 150)
STYLE: Final = (
    "<style>.unit-drawing{background:#fff}.unit-drawing path:not([fill]){fill:none;stroke-width:1.4px}"
    ".unit-drawing .bracket{fill:none;stroke:#17212b;stroke-width:1.5}.unit-drawing .n{font-style:italic;fill:#17212b}</style>"
)
"""How drawings look where no style sheet of the page says so."""

_BRACKET = 0.56  # half its height and the length of its lips, in bond lengths
_LIP = 0.16
_MARGIN = 12
_LOW = 84  # the least height of a drawing
# Colours that stay apart on paper; the default's fluorine is too faint.
_PALETTE: Final = {
    7: (0.12, 0.3, 0.7),
    8: (0.75, 0.1, 0.1),
    9: (0.05, 0.42, 0.38),
    14: (0.5, 0.36, 0.12),
    16: (0.6, 0.42, 0.0),
    17: (0.1, 0.45, 0.15),
}
# What RDKit writes for every bond and label, and the little of it that matters.
_NOISE = re.compile(r"\s*(?:class='[^']*'|style='fill:none;[^']*?stroke:(#\w+);stroke-width:([\d.]+)px[^']*')")
_EMPTY = re.compile(r"<path d='[^']*' fill='none'\s*/>\n|<!--.*?-->\n")


@lru_cache(maxsize=1024)  # a report is written after every round, and most of its candidates stay
def bracketed(psmiles: str, size: tuple[int, int] = SIZE) -> Markup:
    """Return a repeat unit drawn as SVG, brackets across its open bonds and n at the right one; no higher than it needs to be."""
    from rdkit import Chem
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = Chem.MolFromSmiles(psmiles)
    rdDepictor.Compute2DCoords(mol)
    rdDepictor.NormalizeDepiction(mol)  # the long axis of the unit lies flat
    rdDepictor.StraightenDepiction(mol, minimizeRotation=True)
    ends = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    for end in ends:
        mol.GetAtomWithIdx(end).SetAtomicNum(6)  # an end without a label: the bond alone is drawn
        mol.GetAtomWithIdx(end).SetNoImplicit(True)
    drawing = rdMolDraw2D.MolDraw2DSVG(*size)
    options: Any = drawing.drawOptions()  # its stub types every attribute as itself
    options.clearBackground = False
    options.padding = 0.07
    options.bondLineWidth = 1.4
    options.fixedBondLength = 27
    options.minFontSize = 9
    options.updateAtomPalette(_PALETTE)
    options.addStereoAnnotation = False
    # Radical dots would mark the ends, which have no hydrogens.
    options.includeRadicals = False
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, mol)
    places = []
    for end in ends:
        (anchor,) = mol.GetAtomWithIdx(end).GetNeighbors()
        places.append((drawing.GetDrawCoords(end), drawing.GetDrawCoords(anchor.GetIdx())))
    heights = [drawing.GetDrawCoords(index).y for index in range(mol.GetNumAtoms())]
    drawing.FinishDrawing()
    text: str = drawing.GetDrawingText()
    # Written by RDKit from atoms and bonds alone: labels come out as paths, never as the text of the SMILES.
    start, end_tag = text.index("<svg"), text.rindex("</svg>")
    body = _EMPTY.sub("", _NOISE.sub(_kept, text[text.index(">", start) + 1 : end_tag]))
    right = max(range(len(places)), key=lambda index: places[index][0].x)
    marks = "".join(_bracket(*place, label=index == right) for index, place in enumerate(places))
    middle, height = (min(heights) + max(heights)) / 2, max(max(heights) - min(heights) + 2 * _MARGIN, _LOW)
    return Markup(
        f'<svg role="img" aria-label="repeat unit" class="unit-drawing" viewBox="0 {middle - height / 2:.0f} {size[0]} {height:.0f}"'
        f' width="{size[0]}" height="{height:.0f}">{body}{marks}</svg>'
    )


def _kept(match: re.Match[str]) -> str:
    return f" stroke='{match[1]}'" if match[1] else ""


def _bracket(end: Any, anchor: Any, *, label: bool) -> str:
    """A bracket across the bond from `anchor` to `end`, its lips towards the unit."""
    along = math.hypot(anchor.x - end.x, anchor.y - end.y) or 1.0
    x, y = (anchor.x - end.x) / along, (anchor.y - end.y) / along  # unit vector into the unit
    middle = (end.x + 0.42 * (anchor.x - end.x), end.y + 0.42 * (anchor.y - end.y))
    corners = [(middle[0] - side * _BRACKET * along * y, middle[1] + side * _BRACKET * along * x) for side in (1, -1)]
    lips = [(px + _LIP * along * x, py + _LIP * along * y) for px, py in corners]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (lips[0], corners[0], corners[1], lips[1]))
    text = ""
    if label:
        low = max(corners, key=lambda corner: corner[1])
        text = f'<text x="{low[0] - 0.2 * along * x:.1f}" y="{low[1] + 0.2 * along:.1f}" font-size="{min(14.0, 0.5 * along):.1f}" class="n">n</text>'
    return f'<polyline points="{path}" class="bracket"/>{text}'


def card(candidate: Candidate) -> str:
    """Return a candidate as HTML: its structure, what is known of its properties, and where it came from."""
    lines = []
    for name, answer in candidate.predictions.items():
        item, measured = PROPERTIES[name], candidate.measured.get(name)
        how = "measured" if measured is not None and measured.value is not None else "predicted"
        doubt = "" if answer.in_domain else ", unlike what the models know"
        lines.append(
            (
                f"{name}, {how}{doubt}",
                f"{answer.mean:.{item.digits}f} ± {answer.std:.{item.digits}f} (standard deviation) {item.unit}",
            )
        )
    lines += [
        ("probability of passing", f"{candidate.probability:.2f}"),
        ("class", candidate.polymer_class),
        ("SA score", f"{candidate.sa_score:.1f}"),
        ("similarity to the nearest known", f"{candidate.similarity:.2f}"),
        ("round", str(candidate.round + 1)),
    ]
    rows = "".join(f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
    return f"<div>{STYLE}{bracketed(candidate.psmiles)}<p><code>{escape(candidate.psmiles)}</code></p><table>{rows}</table></div>"
