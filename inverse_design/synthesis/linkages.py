"""The bonds that polymerisations make, each as a reaction run backwards on the chain.

In a retro reaction isotope 1 marks atoms of the backbone. A bond between mapped atoms that the right side lacks is
broken, one that it writes otherwise is changed, unmapped atoms on the right are what the monomer carries there, and
unmapped atoms on the left go. Order matters within a table: a bond is cut once. Sources: Odian, Principles of
Polymerization, 4th ed. (2004); Rogers & Long, Synthetic Methods in Step-Growth Polymers (2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """One kind of bond between residues.

    roles: what the two partners carry where the bond says nothing of who is which (dihalide and diol, ...), written on
    `*`; alone: what a residue carries that is joined to its own kind, "" where it must come in both roles; reagent: what
    else the reaction takes up; one_way: cut each atom once, towards the end of the chain; leaving: pattern of what a monomer gives
    off that holds carbon, its unmapped atoms.
    """

    kind: str
    route: str
    retro: str
    roles: tuple[str, ...] = ()
    alone: str = ""
    reagent: str = ""
    one_way: bool = False
    leaving: str = ""


_ACYL: Final = "[1CX3;!R;$(C([#6,#1])=O),$([CH1]):1](=[O:2])"
_PHENOLIC: Final = "[1OX2;!R;$(Oc):3]"
_BENZO: Final = "[c;$(c1ccccc1),$(c1cnccc1),$(c1ccncc1)"

# What condenses with loss of water, alcohol or HCl, and what adds to an isocyanate or epoxide.
CONDENSATIONS: Final = (
    Linkage(
        kind="imide",
        route="polyimide from dianhydride and diamine through the poly(amic acid)",
        retro="[1#7;R:1](~[#6;R;$([#6]~[#6]):2]=[O:3])~[#6;R;$([#6]~[#6]):4]=[O:5]>>[#7:1].[#6:2](=[O:3])O[#6:4]=[O:5]",
    ),
    Linkage(
        kind="benzazole",
        route="polybenzazole from diacid and tetraamine (bis-aminophenol, -aminothiophenol) in polyphosphoric acid",
        retro=f"[1#6:1]1~[#7:2]~{_BENZO}:3]~{_BENZO}:4]~[#7,#8,#16:5]~1>>[#6:1](=O)O.[#7:2]~[c:3]~[c:4]~[#7:5]",
    ),
    Linkage(
        kind="oxadiazole",
        route="polyoxadiazole from diacid and hydrazine in polyphosphoric acid",
        retro="[1#6:1]1~[#7:2]~[#7:3]~[1#6:4]~[#8:5]~1>>[#6:1](=[O:5])O.[#7:2]~[#7:3].[#6:4](=O)O",
    ),
    Linkage(
        kind="quinoxaline",
        route="polyquinoxaline from tetraamine and bis(1,2-dicarbonyl)",
        retro=f"[1#6:1]1~[#7:2]~{_BENZO}:3]~{_BENZO}:4]~[#7:5]~[#6:6]~1>>[#6:1](=O)-[#6:6]=O.[#7:2]~[c:3]~[c:4]~[#7:5]",
    ),
    Linkage(
        kind="urethane",
        route="polyaddition of diisocyanate and diol",
        retro="[1NX3;H1:1]-[1CX3;!R:2](=[O:3])-[1OX2:4]>>[N:1]=[C:2]=[O:3].[O:4]",
    ),
    Linkage(
        kind="urethane",
        route="interfacial polycondensation of secondary diamine and bischloroformate",
        retro="[1#7X3;H0:1]-[1CX3;!R:2](=[O:3])-[1OX2:4]>>[N:1].Cl[C:2](=[O:3])[O:4]",
    ),
    Linkage(
        kind="thiourethane",
        route="polyaddition of diisocyanate and dithiol",
        retro="[1NX3;H1:1]-[1CX3;!R:2](=[O:3])-[1SX2:4]>>[N:1]=[C:2]=[O:3].[S:4]",
    ),
    Linkage(
        kind="carbonate",
        route="alternating copolymerisation of epoxide and carbon dioxide",
        retro="[1OX2:1]-[1CX3;!R:2](=[O:3])-[1OX2:4]-[1CX4:5]-[1CX4:6]-[1OX2:7]-[1CX3;!R:8]=[O:9]"
        ">>[O:1]=[C:2]=[O:3].[O:4]1-[C:5]-[C:6]-1.[O:7]=[C:8]=[O:9]",
        one_way=True,
    ),
    Linkage(
        kind="carbonate",
        route="polycarbonate from diol and phosgene (interface) or diphenyl carbonate (melt)",
        retro="[1OX2:1]-[1CX3;!R:2](=[O:3])-[1OX2:4]>>[O:1].Cl[C:2](=[O:3])Cl.[O:4]",
    ),
    Linkage(
        kind="anhydride",
        route="melt polycondensation of diacid with acetic anhydride",
        retro="[1CX3;!R:1](=[O:2])-[1OX2:3]-[1CX3;!R:4]=[O:5]>>[C:1](=[O:2])-[O:3].O[C:4]=[O:5]",
    ),
    Linkage(
        kind="amide",
        route="low-temperature polycondensation of diacid chloride and aromatic diamine",
        retro=f"{_ACYL}-[1NX3;$(Nc):3]>>[C:1](=[O:2])Cl.[N:3]",
    ),
    Linkage(
        kind="amide",
        route="melt polycondensation of diacid and diamine (nylon salt)",
        retro=f"{_ACYL}-[1#7X3:3]>>[C:1](=[O:2])O.[#7:3]",
    ),
    Linkage(
        kind="ester",
        route="polycondensation of diacid chloride and bisphenol (or melt acidolysis of its acetate)",
        retro=f"{_ACYL}-{_PHENOLIC}>>[C:1](=[O:2])Cl.[O:3]",
    ),
    Linkage(
        kind="ester",
        route="melt polycondensation of diacid (or its dimethyl ester) and diol",
        retro=f"{_ACYL}-[1OX2;!$(O(C=O)C=O):3]>>[C:1](=[O:2])O.[O:3]",
    ),
    Linkage(
        kind="thioester",
        route="polycondensation of diacid chloride and dithiol",
        retro=f"{_ACYL}-[1SX2:3]>>[C:1](=[O:2])Cl.[S:3]",
    ),
    Linkage(  # Campbell and Smeltz, J. Org. Chem. 28:2069 (1963)
        kind="carbodiimide",
        route="polycondensation of diisocyanate with loss of carbon dioxide (phospholene oxide)",
        retro="[1NX2:1]=[1CX2]=[1NX2:2]>>[N:1].[N:2]",
        roles=("*=C=O", "*=C=O"),
        alone="*=C=O",
    ),
    Linkage(
        kind="urea",
        route="polyaddition of diisocyanate and diamine",
        retro="[1NX3:1]-[1CX3;!R](=O)-[1NX3:2]>>[N:1].[N:2]",
        roles=("*=C=O", ""),
    ),
    Linkage(
        kind="thiourea",
        route="polyaddition of diisothiocyanate and diamine",
        retro="[1NX3:1]-[1CX3;!R](=S)-[1NX3:2]>>[N:1].[N:2]",
        roles=("*=C=S", ""),
    ),
    Linkage(
        kind="sulfonyl",
        route="polycondensation of disulfonyl chloride and diamine or bisphenol",
        retro="[1SX4:1](=[O:2])(=[O:3])-[1#7X3,1OX2:4]>>[S:1](=[O:2])(=[O:3])Cl.[N:4]",
    ),
    Linkage(
        kind="imine",
        route="polycondensation of dialdehyde (diketone) and diamine",
        retro="[1CX3;!R;$(C[#6]);!$(C[#7,#8,#16]):1]=[1NX2;!R:2]>>[C:1]=O.[N:2]",
    ),
    Linkage(
        kind="phosphoryl",
        route="polycondensation of phosphorus dichloride and diol or diamine",
        retro="[1PX4:1](=[O,S:2])-[1OX2,1NX3,1SX2:3]>>[P:1](=[O:2])Cl.[O:3]",
    ),
    Linkage(
        kind="phosphite",
        route="polycondensation of phosphorus dichloride and diol",
        retro="[1PX3:1]-[1OX2,1NX3:2]>>[P:1]Cl.[O:2]",
    ),
    Linkage(
        kind="silyl ether",
        route="polycondensation of dichlorosilane and diol",
        retro="[1Si:1]-[1OX2;$(O[#6]):2]>>[Si:1]Cl.[O:2]",
    ),
    Linkage(
        kind="silazane",
        route="polycondensation of dichlorosilane and diamine (ammonia)",
        retro="[1Si:1]-[1#7:2]>>[Si:1]Cl.[#7:2]",
    ),
    Linkage(
        kind="epoxy",
        route="polyaddition of diepoxide and amine",
        retro="[1#7X3:1]-[1CH2:2]-[1CX4:3][OH:4]>>[#7:1].[C:2]1-[C:3]-[O:4]-1",
    ),
    Linkage(
        kind="epoxy",
        route="phenoxy resin from bisphenol and epichlorohydrin",
        retro="[1OX2;$(Oc):1]-[1CH2:2]-[1CX4:3]([OH:4])-[1CH2:5]-[1OX2;$(Oc):6]>>[O:1].Cl[C:2]-[C:3]-1-[O:4]-[C:5]-1.[O:6]",
    ),
    Linkage(
        kind="aspartimide",
        route="Michael polyaddition of bismaleimide and diamine (dithiol)",
        retro="[1#7X3,1SX2:1]-[1CX4;R:2]1-[CH2:3]-[CX3:4](=[O:5])-[#7:6]-[CX3:7]1=[O:8]>>[#7:1].[C:2]1=[C:3]-[C:4](=[O:5])-[#7:6]-[C:7]1=[O:8]",
    ),
)

AMINO_ALCOHOLS: Final = (
    Linkage(  # Versteegen, Sijbesma and Meijer, Angew. Chem. Int. Ed. 38:2917 (1999); shorter ones close into oxazolidinones
        kind="urethane",
        route="self-polyaddition of amino alcohol through its isocyanate, made with phosgene or di-tert-butyl tricarbonate",
        retro="[1NX3;H1;!$([1N][1C][1C][1O][1C]=O):1]-[1CX3;!R:2](=[O:3])-[1OX2:4]>>[N:1].Cl[C:2](=[O:3])Cl.[O:4]",
    ),
)
SILOXANES: Final = (
    Linkage(
        kind="siloxane",
        route="hydrolysis of dichlorosilane, or ring-opening polymerisation of its cyclic siloxane",
        retro="[1Si,1Ge,1Sn:1]-[1OX2]-[1Si,1Ge,1Sn:2]>>[Si:1].[Si:2]",
        roles=("*Cl", "*O"),
        alone="*Cl",
        reagent="O",
    ),
)

# para or ortho to a group that takes a negative charge, or an azine itself
_DRAWS: Final = "[$([#6]=O),$(S(=O)=O),$(S=O),$(C#N),$(P=O),$(C(F)(F)F),$([#6;!$(c1ccccc1)]~[#7;$([#7]=*),$([#7X2])]),$(N(=O)=O),$([NX3+]),$(N=N)]"
_ACTIVE: Final = f"[c;$(c1ccc({_DRAWS})cc1),$(c1c({_DRAWS})cccc1),$(c1c(F)c(F)c(*)c(F)c1F),$(c:[nX2])"
_INACTIVE: Final = f"[c;!$({_ACTIVE}])"
_SULFONE: Final = "[c;$(c1ccc(S(=O)=O)cc1)"

ETHERS: Final = (
    Linkage(
        kind="aryl ether",
        route="nucleophilic aromatic substitution of activated dichloride and bisphenol",
        retro=f"{_SULFONE}:1]-[1OX2;!R:2]-{_INACTIVE}:3]>>Cl[c:1].[O:2]-[c:3]",
    ),
    Linkage(
        kind="aryl ether",
        route="nucleophilic aromatic substitution of activated difluoride and bisphenol",
        retro=f"{_ACTIVE}:1]-[1OX2,1SX2;!R:2]-{_INACTIVE}:3]>>F[c:1].[O:2]-[c:3]",
    ),
    Linkage(
        kind="aryl ether",
        route="nucleophilic aromatic substitution of activated difluoride and diol",
        retro=f"{_ACTIVE}:1]-[1OX2;!R:2]-[CX4:3]>>F[c:1].[O:2]-[C:3]",
    ),
    Linkage(
        kind="aryl ether",
        route="nucleophilic aromatic substitution of activated dichloride and bisphenol",
        retro=f"{_SULFONE}:1]-[1OX2;!R]-{_SULFONE}:2]>>[c:1].[c:2]",
        roles=("*Cl", "*O"),
    ),
    Linkage(
        kind="aryl ether",
        route="nucleophilic aromatic substitution of activated difluoride and bisphenol",
        retro=f"{_ACTIVE}:1]-[1OX2;!R]-{_ACTIVE}:2]>>[c:1].[c:2]",
        roles=("*F", "*O"),
    ),
)
MORE_ETHERS: Final = (
    Linkage(
        kind="oxidative",
        route="oxidative coupling polymerisation of 2,6-disubstituted phenol",
        retro="[c:1]-[1OX2;!R:2]-[c;$(c(:c-[#6,F,Cl,Br]):c-[#6,F,Cl,Br]):3]>>[c:1].[O:2]-[c:3]",
        one_way=True,
    ),
    Linkage(
        kind="aryl ether",
        route="Williamson polyetherification of dihalide and bisphenol",
        retro="[1CX4;!R:1]-[1OX2;!R:2]-[c:3]>>Br[C:1].[O:2]-[c:3]",
    ),
    Linkage(
        kind="benzyl ether",
        route="Williamson polyetherification of bis(bromomethyl)arene and diol",
        retro="[c:4]-[1CH2:1]-[1OX2;!R:2]-[1CX4;!$([CX4]c):3]>>[c:4]-[C:1]Br.[O:2]-[C:3]",
    ),
    Linkage(
        kind="aryl ether",
        route="Ullmann coupling of dibromide and bisphenol",
        retro="[c:1]-[1OX2;!R]-[c:2]>>[c:1].[c:2]",
        roles=("*Br", "*O"),
    ),
)
SULFIDES: Final = (
    Linkage(
        kind="aryl sulfide",
        route="polycondensation of aromatic dichloride with sodium sulfide",
        retro="[c:1]-[1SX2;!R]-[c:2]>>[c:1].[c:2]",
        roles=("*Cl", "*S"),
        alone="*Cl",
        reagent="[Na][S][Na]",
    ),
)
ARYL_KETONES: Final = (
    Linkage(
        kind="aryl ketone",
        route="Friedel-Crafts acylation with diacid chloride",
        retro="[c;$(c1ccc([OX2,NX3,SX2,c,CX4])cc1),$(c1sccc1),$(c1occc1):1]-[1CX3;!R:2](=[O:3])-[#6:4]>>[c:1].Cl[C:2](=[O:3])-[#6:4]",
        one_way=True,
    ),
)
ARYL_SULFONES: Final = (
    Linkage(
        kind="aryl sulfone",
        route="Friedel-Crafts sulfonylation with disulfonyl chloride",
        retro="[c;$(c1ccc([OX2,NX3,SX2,c,CX4])cc1):1]-[1SX4:2](=[O:3])(=[O:4])-[c:5]>>[c:1].Cl[S:2](=[O:3])(=[O:4])-[c:5]",
        one_way=True,
    ),
)
OXIDATIONS: Final = (
    Linkage(
        kind="aniline",
        route="oxidative polymerisation of aniline",
        retro="[c:1]-[1NX3;H1:2]-[c:3]>>[c:1].[N:2]-[c:3]",
        one_way=True,
    ),
)
OLEFINS: Final = (
    Linkage(  # Wegner, Z. Naturforsch. B 24:824 (1969)
        kind="diacetylene",
        route="topochemical polymerisation of the diacetylene in its crystal",
        retro="[1CX2:6]#[1CX2:5]-[1CX3:1]=[1CX3:2]-[1CX2:3]#[1CX2:4]>>[C:6]-[C:5]#[C:1].[C:2]#[C:3]-[C:4]",
    ),
    Linkage(
        kind="vinylene",
        route="Gilch polymerisation of bis(chloromethyl)arene, or Horner-Wadsworth-Emmons polycondensation",
        retro="[c:5]-[1CX3;!R:1]=[1CX3;!R:2]-[c:6]>>[c:5]-[C:1].[C:2]-[c:6]",
        roles=("*=O", "*P(=O)(OCC)OCC"),
        alone="*Cl",
    ),
    Linkage(
        kind="ethynylene",
        route="Sonogashira polycondensation of dibromide and diethynyl monomer",
        retro="[c:1]-[1CX2]#[1CX2]-[c:2]>>[c:1].[c:2]",
        roles=("*Br", "*C#C"),
    ),
    Linkage(
        kind="diyne",
        route="oxidative (Glaser) coupling of diethynyl monomer",
        retro="[1CX2:1]-[1CX2:2]>>[C:1].[C:2]",
    ),
    Linkage(
        kind="alkenylene",
        route="acyclic diene metathesis polymerisation of the alpha,omega-diene",
        retro="[1CX4:3]-[1CX3;!R:1]=[1CX3;!R:2]-[1CX4:4]>>C=[C:1]-[C:3].C=[C:2]-[C:4]",
    ),
)
ARYL_AMINES: Final = (
    Linkage(
        kind="aryl amine",
        route="Buchwald-Hartwig or Ullmann amination of dibromide",
        retro="[c:1]-[1#7X3;!$([#7]-[#6]=[O,S]):2]>>Br[c:1].[#7:2]",
    ),
)
ALIPHATIC: Final = (
    Linkage(
        kind="acetal",
        route="polyacetal from diol and aldehyde",
        retro="[1OX2;!$(OC=[O,S]):1]-[1CX4;!R:2]-[1OX2;!$(OC=[O,S]):3]>>[O:1].[C:2]=O.[O:3]",
    ),
    Linkage(
        kind="aminal",
        route="polycondensation of urea, amide or aminotriazine and formaldehyde",
        retro="[1NX3;$(NC=[O,S]),$(Nc(:n):n):1]-[1CH2:2]-[1NX3;$(NC=[O,S]),$(Nc(:n):n):3]>>[N:1].[C:2]=O.[N:3]",
    ),
    Linkage(kind="disulfide", route="oxidation of dithiol", retro="[#6:3]-[1SX2:1]-[1SX2:2]-[#6:4]>>[S:1]-[#6:3].[S:2]-[#6:4]"),
    Linkage(
        kind="sulfide",
        route="polycondensation of dihalide with sodium sulfide or dithiol",
        retro="[1CX4:1]-[1SX2;!R]-[1CX4:2]>>[C:1].[C:2]",
        roles=("*Br", "*S"),
        alone="*Br",
        reagent="[Na][S][Na]",
    ),
    Linkage(
        kind="sulfide",
        route="polycondensation of dihalide with sodium sulfide or dithiol",
        retro="[1CX4:1]-[1SX2;!R:2]-[c:3]>>Br[C:1].[S:2]-[c:3]",
    ),
    Linkage(
        kind="oxazoline",
        route="cationic ring-opening polymerisation of 2-oxazoline",
        retro="[1NX3:1](-[CX3;!1:2]=[O:3])-[1CH2:4]-[1CX4:5]-[1NX3:6]>>[N:1]1=[C:2]-[O:3]-[C:5]-[C:4]-1.[N:6]",
        one_way=True,
    ),
    Linkage(
        kind="oxazine",
        route="cationic ring-opening polymerisation of 5,6-dihydro-4H-1,3-oxazine",
        retro="[1NX3:1](-[CX3;!1:2]=[O:3])-[1CH2:4]-[1CX4:7]-[1CX4:5]-[1NX3:6]>>[N:1]1=[C:2]-[O:3]-[C:5]-[C:7]-[C:4]-1.[N:6]",
        one_way=True,
    ),
    Linkage(  # Goodwin and Novak, Macromolecules 27:5520 (1994)
        kind="carbodiimide",
        route="coordination polymerisation of the carbodiimide (titanium)",
        retro="[1NX3;$([1N]([1C])[1C]):1]-[1CX3:2](=[NX2;!1:3])-[1NX3;$([1N]([1C])[1C]):4]>>[N:1]=[C:2]=[N:3].[N:4]",
        one_way=True,
    ),
    Linkage(
        kind="isocyanate",
        route="anionic polymerisation of the isocyanate",
        retro="[1NX3;$([1N]([1C]=O)([1C]=O)[#6]):1]-[1CX3:2](=[O:3])-[1NX3;$([1N]([1C]=O)([1C]=O)[#6]):4]>>[N:1]=[C:2]=[O:3].[N:4]",
        one_way=True,
    ),
    Linkage(
        kind="amine",
        route="polyalkylation of diamine with dihalide",
        retro="[1CX4:1]-[1NX3;!$(N[#6]=[O,S]):2]>>Br[C:1].[N:2]",
    ),
    Linkage(
        kind="ether",
        route="polyetherification of diol",
        retro="[1CX4:1]-[1OX2;!R]-[1CX4:2]>>[C:1].[C:2]",
        roles=("*O", "*Br"),
        alone="*O",
    ),
)
SILICON: Final = (
    Linkage(
        kind="silane",
        route="Wurtz coupling of dichlorosilane with sodium",
        retro="[1Si,1Ge,1Sn:1]-[1Si,1Ge,1Sn:2]>>[Si:1]Cl.[Si:2]Cl",
    ),
    Linkage(
        kind="carbosilane",
        route="hydrosilylation of divinyl (or diethynyl) monomer with bis-silane",
        retro="[1Si:1]-[1CH2:2]-[1CX4:3]>>[Si:1].[C:2]=[C:3]",
    ),
    Linkage(
        kind="carbosilane",
        route="polycondensation of dichlorosilane and dilithium or Grignard reagent of the bromide",
        retro="[1Si,1Ge,1Sn:1]-[1c:2]>>[Si:1]Cl.Br[c:2]",
    ),
    Linkage(
        kind="carbosilane",
        route="polycondensation of dichlorosilane and dilithium acetylide",
        retro="[1Si,1Ge,1Sn:1]-[1CX2:2]>>[Si:1]Cl.[C:2]",
    ),
)
ALDEHYDES: Final = (
    Linkage(
        kind="methylene",
        route="polycondensation of aldehyde or ketone with an electron-rich arene",
        retro="[1c:1]-!@[1CX4;!r3;!$(C[OH,N,S,F,Cl,Br,I]):2]-!@[1c:3]>>[c:1].[C:2]=O.[c:3]",
    ),
    Linkage(
        kind="xylylene",
        route="reductive coupling of bis(chloromethyl)arene (vapour deposition from its cyclophane)",
        retro="[c:3]-[1CX4:1]-[1CX4:2]-[c:4]>>[c:3]-[C:1].[C:2]-[c:4]",
        roles=("*Cl", "*Cl"),
        alone="*Cl",
    ),
)
COUPLINGS: Final = (
    Linkage(
        kind="aryl",
        route="Yamamoto (dibromide alone) or Suzuki (dibromide and diboronic acid) polycondensation",
        retro="[1c:1]-!@[1c:2]>>[c:1].[c:2]",
        roles=("*Br", "*B(O)O"),
        alone="*Br",
    ),
    Linkage(
        kind="aryl",
        route="N-arylation of dibromide",
        retro="[1c:1]-!@[1n:2]>>Br[c:1].[n:2]",
    ),
)

# Tried one after the other; the first whose monomers can exist is the route.
LEVELS: Final = (
    CONDENSATIONS, AMINO_ALCOHOLS, SILOXANES, ETHERS, MORE_ETHERS, SULFIDES, ARYL_KETONES, ARYL_SULFONES, OXIDATIONS, OLEFINS, ARYL_AMINES,
    ALIPHATIC, SILICON, ALDEHYDES, COUPLINGS,
)  # fmt: skip
