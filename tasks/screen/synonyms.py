"""Words of medical description that mean the same, as far as one image can tell.

Written by hand from general knowledge; no list of concepts was used. Only words that can stand for
each other in any statement are listed: "papule" is no "nodule", and "pale" is no "white".
"""

from collections.abc import Mapping
from functools import cache

from curette.tasks.methods.wording.words import stem, words

_ALIKE = """
    red reddish redness reddened | blue bluish blueish | white whitish | black blackish
    brown brownish | yellow yellowish | gray grayish | pink pinkish | green greenish
    purple purplish violet violaceous | orange orangish
    dark darker darkened | light lighter
    color coloration colored coloring hue tone tint
    multicolored multicolor
    small tiny minute minuscule little smaller | large big larger bigger
    border edge margin | outline contour
    irregular irregularity irregularly | regular regularly
    asymmetric asymmetrical asymmetry asymmetrically nonsymmetrical unsymmetrical
    symmetric symmetrical symmetry symmetrically
    round rounded circular roundish | oval ovoid elliptical elliptic | shape shaped form
    raised elevated elevation | sunken depressed
    multiple many numerous several | single solitary one
    diverse varied various different differing
    shiny glossy lustrous | pearly pearlescent
    scaly flaky flaking scaling scaliness scale | crusty crusted crusting crust
    ulcer ulceration ulcerated ulcerous | erosion eroded erosive
    uniform homogeneous homogenous uniformly homogeneously
    heterogeneous inhomogeneous nonhomogeneous
    blurred blurry fuzzy | jagged ragged | notched indented
    smooth smoothness | rough roughness
    branching branched arborizing | dilated widened enlarged
    scar scarring scarred scarlike
    nucleus nuclear | nucleolus nucleolar
    opacity opacification opaque | lucent lucency | nodule nodular
    linear line | network reticular net reticulated
    dot punctate | stippled stippling | streak striation striated
    pigmented pigmentation pigment
    hyperpigmented hyperpigmentation | hypopigmented hypopigmentation depigmented depigmentation
"""


@cache
def _groups() -> Mapping[str, str]:
    """Return stem -> the first stem of its group."""
    found: dict[str, str] = {}
    for group in _ALIKE.replace("\n", "|").split("|"):
        stems = [stem(word) for word in words(group)]
        for each in stems:
            found.setdefault(each, found.get(stems[0], stems[0]))
    return found


def meaning(stemmed: str) -> str:
    """Return what stands for a stem: the first of those that mean the same, or itself."""
    return _groups().get(stemmed, stemmed)
