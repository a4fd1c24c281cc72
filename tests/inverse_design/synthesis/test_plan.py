from __future__ import annotations

import pytest
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from inverse_design.polymer import RepeatUnit, parse
from inverse_design.reference.textbook import textbook
from inverse_design.synthesis.linkages import LEVELS
from inverse_design.synthesis.plan import STATISTICAL, Synthesis, synthesis
from inverse_design.synthesis.retro import cut_of

TEXTBOOK = textbook()


def made(text: str) -> Synthesis | None:
    unit = parse(text)
    assert isinstance(unit, RepeatUnit), text
    return synthesis(unit)


def monomers(text: str) -> set[str]:
    found = made(text)
    return set() if found is None else {monomer.smiles for monomer in found.monomers}


def right(row: dict[str, str]) -> bool:
    return monomers(row["psmiles"]) in [set(map(Chem.CanonSmiles, answer.split("."))) for answer in row["monomers"].split("|")]


def test_textbook_monomers_of_well_known_polymers() -> None:
    wrong = [row["polymer"] for row in TEXTBOOK if not right(row)]
    assert len(TEXTBOOK) >= 60
    assert len(wrong) <= 0.05 * len(TEXTBOOK), wrong


def test_every_retro_reaction_is_read() -> None:
    for linkage in (linkage for level in LEVELS for linkage in level):
        cut = cut_of(linkage.retro)
        assert cut.breaks or cut.removed, linkage


@pytest.mark.parametrize(
    "texts",
    [
        ["*CCOC(=O)c1ccc(C(=O)O*)cc1", "*COC(=O)c1ccc(C(=O)OC*)cc1", "*c1ccc(C(=O)OCCOC(*)=O)cc1", "*OCCOC(=O)c1ccc(C(*)=O)cc1"],
        ["*CC(*)Cl", "*C(Cl)C*", "*CC(Cl)CC(*)Cl"],
        ["*NCCCCCC(*)=O", "*CCNC(=O)CCC*", "*NCCCCCC(=O)NCCCCCC(*)=O"],
        ["*Oc1ccc(C(=O)c2ccc(*)cc2)cc1", "*c1ccc(Oc2ccc(C(*)=O)cc2)cc1", "*C(=O)c1ccc(Oc2ccc(*)cc2)cc1"],
        ["*CC=CC*", "*C=CCC*", "*CCC=C*"],
    ],
)
def test_monomers_do_not_depend_on_the_frame(texts: list[str]) -> None:
    assert len({frozenset(monomers(text)) for text in texts}) == 1
    assert monomers(texts[0])


@pytest.mark.parametrize(
    ("text", "monomer"),
    [
        ("*C1C2CCC(C2)C1*", "C1=CC2CCC1C2"),
        ("*C1C2CC(C3CCCCC3)C(C2)C1*", "C1=CC2CC1CC2C1CCCCC1"),
        ("*C1C2CC(C#N)C(C2)C1*", "N#CC1CC2CC1C=C2"),
        ("*C1C2CC(C1*)C(C(C)(C)C)C2", "CC(C)(C)C1CC2CC1C=C2"),
    ],
)
def test_norbornenes_add_whichever_of_their_rings_is_written_first(text: str, monomer: str) -> None:
    assert monomers(text) == {Chem.CanonSmiles(monomer)}
    assert "norbornene" in getattr(made(text), "route", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*N(CCCCCC)C(*)=O", {"CCCCCCN=C=O"}),  # Bur and Fetters, Chem. Rev. 76:727 (1976)
        ("*C(=NCCCCCC)N(*)C", {"CCCCCCN=C=NC"}),  # Goodwin and Novak, Macromolecules 27:5520 (1994)
        ("*CCN(C(C)=O)C*", {"CC1=NCCCO1"}),
        ("*N=P(*)(C)C", {"C[Si](C)(C)N=P(C)(C)OCC(F)(F)F"}),  # Neilson and Wisian-Neilson, Chem. Rev. 88:541 (1988)
        (
            "*N=P(*)(c1ccccc1)OCC(F)(F)F",
            {"C[Si](C)(C)N=P(Cl)(Cl)c1ccccc1", "OCC(F)(F)F"},
        ),  # Allcock et al., Macromolecules 30:50 (1997)
        ("*C[Si](*)(C)C", {"C[Si]1(C)C[Si](C)(C)C1"}),  # Kriner, J. Polym. Sci. A-1 4:444 (1966)
    ],
)
def test_chains_of_nitrogen_phosphorus_and_silicon_come_from_the_monomers_of_the_literature(
    text: str, expected: set[str]
) -> None:
    assert monomers(text) == set(map(Chem.CanonSmiles, expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*OC(=O)C=CC(=O)OCC*", {"O=C(O)C=CC(=O)O", "OCCO"}),  # unsaturated polyester: no metathesis of a cyclic maleate
        ("*OC(=O)C=CC(=O)OC1CCC(*)CC1", {"O=C(O)C=CC(=O)O", "OC1CCC(O)CC1"}),
        ("*C=CC1CCC(*)C1", {"C1=CC2CCC1C2"}),  # polynorbornene
        ("*C=CCCCCCC*", {"C1=CCCCCCC1"}),  # polyoctenamer
    ],
)
def test_metathesis_opens_olefins_between_saturated_carbons(text: str, expected: set[str]) -> None:
    assert monomers(text) == set(map(Chem.CanonSmiles, expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*OCCOC(=O)CCC(*)=O", {"O=C(O)CCC(=O)O", "OCCO"}),  # poly(ethylene succinate)
        ("*NCCNC(=O)CCC(*)=O", {"O=C(O)CCC(=O)O", "NCCN"}),
        ("*OCC(=O)OC(C)C(*)=O", {"CC1OC(=O)COC1=O"}),  # alternating lactic and glycolic acid
        ("*NCC(=O)OC(C)C(*)=O", {"CC1OC(=O)CNC1=O"}),  # of a morpholinedione
        ("*OCCOCC(*)=O", {"O=C1COCCO1"}),  # polydioxanone
        ("*OCCCCCC(*)=O", {"O=C1CCCCCO1"}),
        ("*CC(CN1C(=O)NC(=O)C1(C)C)O*", {"CC1(C)C(=O)NC(=O)N1CC1CO1"}),  # the diamide ring that hangs from it stays
        ("*C(=O)CCCCC(=O)O*", {"O=C1CCCCC(=O)O1"}),
    ],
)
def test_rings_of_two_acids_are_made_from_their_halves(text: str, expected: set[str]) -> None:
    assert monomers(text) == set(map(Chem.CanonSmiles, expected))


@pytest.mark.parametrize(
    ("text", "route", "expected"),
    [
        ("*CCC(*)=O", "carbon monoxide (palladium)", {"C=C", "[C-]#[O+]"}),
        ("*CC(C)S(*)(=O)=O", "radical copolymerisation with sulfur dioxide", {"C=CC", "O=S=O"}),
        ("*CCC1C2CCC(C2)C1*", "norbornene", {"C=C", "C1=CC2CCC1C2"}),  # and no cyclopolymerisation of divinylcyclopentane
        ("*C(F)(F)C(*)(F)OC(F)(F)F", "radical", {"FC(F)=C(F)OC(F)(F)F"}),  # a vinyl ether that takes no cation
        ("*OCCCNC(*)=O", "cyclic urethane", {"O=C1NCCCO1"}),  # Neffgen, Keul and Hoecker, Macromolecules 30:1289 (1997)
        ("*C#CC(CO)=C(*)CO", "topochemical", {"OCC#CC#CCO"}),
        ("*C(C)C(*)OCC", "cationic polymerisation of the vinyl ether", {"CC=COCC"}),
        ("*=C=Nc1ccc(C)c(N=*)c1", "loss of carbon dioxide", {"Cc1ccc(N=C=O)cc1N=C=O"}),
        ("*CCOCCOCc1ccc(CO*)cc1", "bis(bromomethyl)arene", {"BrCc1ccc(CBr)cc1", "OCCOCCO"}),
        ("*CNC(=O)N*", "formaldehyde", {"C=O", "NC(N)=O"}),
        ("*CNc1nc(N)nc(N*)n1", "formaldehyde", {"C=O", "Nc1nc(N)nc(N)n1"}),
        ("*C(C)C=CC(C)S(*)(=O)=O", "sulfur dioxide", {"CC=CC=CC", "O=S=O"}),
        ("*OCCCCCNC(*)=O", "self-polyaddition of amino alcohol", {"NCCCCCO", "O=C(Cl)Cl"}),
        ("*OCCOCCNC(*)=O", "self-polyaddition of amino alcohol", {"NCCOCCO", "O=C(Cl)Cl"}),
        ("*OCC(O)COc1ccc(*)cc1", "phenoxy", {"Oc1ccc(O)cc1", "ClCC1CO1"}),
    ],
)
def test_routes_have_the_name_a_chemist_gives_them(text: str, route: str, expected: set[str]) -> None:
    assert monomers(text) == set(map(Chem.CanonSmiles, expected))
    assert route in getattr(made(text), "route", "")


def test_two_branches_keep_a_double_bond_from_growing() -> None:
    assert made("*C(C)C(*)C") is None
    assert made("*C(C)C(*)OC(C)=O") is None


@pytest.mark.parametrize("text", ["*OCCNC(*)=O", "*NCCNC(*)=O"])
def test_five_membered_urethanes_and_ureas_do_not_open(text: str) -> None:
    assert "ring-opening" not in getattr(made(text), "route", "")


def test_an_aldehyde_joins_alcohols_and_no_acids() -> None:
    assert monomers("*OC(C)OCc1ccc(C*)cc1") == {"CC=O", "OCc1ccc(CO)cc1"}
    assert made("*OC(C)OC(=O)CCCCC(*)=O") is None


# Atoms of the monomers minus atoms of the repeat unit: what the reaction gives off, by its stoichiometry.
@pytest.mark.parametrize(
    ("text", "given_off"),
    [
        ("*CC(*)c1ccccc1", ""),  # chain growth gives off nothing
        ("*OCCCCCC(*)=O", ""),
        ("*OCCOC(=O)NCCCCCCNC(*)=O", ""),  # polyaddition neither
        ("*NCCCCCCNC(=O)CCCCC(*)=O", "H4O2"),  # two molecules of water
        ("*c1ccc(Oc2ccc(N3C(=O)c4cc5c(cc4C3=O)C(=O)N(*)C5=O)cc2)cc1", "H4O2"),
        ("*Nc1ccc(NC(=O)c2ccc(C(*)=O)cc2)cc1", "H2Cl2"),
        ("*Oc1ccc(Oc2ccc(C(=O)c3ccc(*)cc3)cc2)cc1", "H2F2"),
        ("*Oc1c(C)cc(*)cc1C", "H2"),  # taken up by oxygen
    ],
)
def test_atoms_are_conserved(text: str, given_off: str) -> None:
    found = made(text)
    assert found is not None

    def atoms(smiles: str, times: int = 1) -> dict[str, int]:
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        counts: dict[str, int] = {}
        for atom in mol.GetAtoms():
            counts[atom.GetSymbol()] = counts.get(atom.GetSymbol(), 0) + times
        return counts

    balance: dict[str, int] = {}
    for monomer in found.monomers:
        for symbol, count in atoms(monomer.smiles, monomer.count).items():
            balance[symbol] = balance.get(symbol, 0) + count
    for symbol, count in atoms(text).items():
        balance[symbol] = balance.get(symbol, 0) - count
    balance.pop("*")
    assert (
        "".join(
            f"{symbol}{count if count > 1 else ''}"
            for symbol, count in sorted(balance.items(), key=lambda p: (p[0] != "H", p[0]))
            if count
        )
        == given_off
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("*OC(=O)CCCCC(*)=O", "hydrolysis: anhydride"),
        ("*CO*", "hydrolysis: acetal"),
        ("*OC(C)C(*)=O", "hydrolysis: alpha-hydroxy ester"),
        ("*CC=CC*", "oxidation: C=C of the chain"),
        ("*CCO*", "oxidation: C-H beside ether oxygen"),
        ("*C=Nc1ccc(N=Cc2ccc(*)cc2)cc1", "hydrolysis: imine"),
        ("*OCCOC(=O)c1ccc(C(=O)NCCCCNC(=O)c2ccc(C(*)=O)cc2)cc1", ""),
    ],
)
def test_what_does_not_last_is_said(text: str, part: str) -> None:
    found = made(text)
    assert found is not None
    assert part in found.warnings or (not part and not found.warnings), found


def test_monomers_that_keep_no_order_are_said() -> None:
    found = made("*CC(c1ccccc1)CC(C)(C(=O)OC)CC(*)C#N")
    assert found is not None
    assert len(found.monomers) == 3
    assert STATISTICAL in found.warnings


@pytest.mark.parametrize(
    "text",
    [
        "*OC1C(O)C(O)C(*)OC1CO",
        "*CC(C)C(C)C*",
        "*N1NN1*",
        "*CSC(*)(O)O",
    ],
)
def test_no_route_is_made_up(text: str) -> None:
    assert made(text) is None


def test_an_oxirane_between_arenes_is_not_made_from_a_ketone() -> None:
    imide = "N4C(=O)c5cc6c(cc5C4=O)C(C(F)(F)F)(C(F)(F)F)c4cc5c(cc4O6)C(=O)N(*)C5=O"
    assert made(f"*c1ccc(C2(c3ccc({imide})cc3)CO2)cc1") is None
    assert monomers("*c1ccc(C(c2ccc(*)cc2)(C(F)(F)F)C(F)(F)F)cc1") == {"O=C(C(F)(F)F)C(F)(F)F", "c1ccc(-c2ccccc2)cc1"}


@pytest.mark.parametrize(
    "text",
    [
        "*Oc1cc(NC(=O)Nc2ccccc2O)cc(C(=O)Nc2ccc3c(c2)C(=O)c2cc(NC(*)=O)ccc2-3)c1",
        "*C(=O)Nc1ccc(Cc2ccc(NC(=O)CN3C(=O)c4ccc(C(=O)Nc5ccc(*)cc5)cc4C3=O)cc2)cc1",
        "*c1ccc(N2C(=O)c3ccc(*)cc3C2=O)cc1",
        "*NC(=O)Oc1ccc(*)cc1",
    ],
)
def test_no_monomer_reacts_with_itself_in_the_bottle(text: str) -> None:
    amine = Chem.MolFromSmarts("[NX3;H1,H2;!$(N[#6]=[O,S])]")
    for smarts in ("N=C=O", "O=C1OC(=O)[#6]~[#6]1", "C(=O)Cl"):
        for monomer in monomers(text):
            mol = Chem.MolFromSmiles(monomer)
            assert not (mol.HasSubstructMatch(amine) and mol.HasSubstructMatch(Chem.MolFromSmarts(smarts))), monomer


def test_a_copolymer_written_head_to_head_says_so() -> None:
    found = made("*CC(c1ccccc1)C(C*)C(=O)OC")
    assert found is not None
    assert {monomer.smiles for monomer in found.monomers} == {"C=Cc1ccccc1", "C=CC(=O)OC"}
    assert found.route.endswith("grows head to tail)")


def test_commodities_score_as_easy_and_an_engineered_dianhydride_as_harder() -> None:
    easy, hard = made("*CC*"), made("*c1ccc(N2C(=O)c3ccc(C(c4ccc5c(c4)C(=O)N(*)C5=O)(C(F)(F)F)C(F)(F)F)cc3C2=O)cc1")
    assert easy is not None
    assert hard is not None
    assert easy.sa_score == 1.0 < hard.sa_score < 4
    assert rdMolDescriptors.CalcMolFormula(Chem.MolFromSmiles(hard.monomers[1].smiles)) == "C19H6F6O6"
