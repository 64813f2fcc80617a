"""The vocabulary of the visual gate: what words about an image, or about anything else, say.

Written by hand from general knowledge of how medicine describes skin, radiographs, fundus
photographs, blood smears and tissue sections. No list of concepts was used.

A pattern is one or more words. `scal*` is any word that begins so, `*shaped` any that ends so,
`*` any one word and `#` a number. Spelling is American; texts are folded to it first. Where
patterns compete for the same words, the longest wins (`hard exudate*` over `hard`), then the one
that spells out more letters, so an exception is simply a longer pattern.
"""

from dataclasses import dataclass
from typing import Literal

Weight = Literal["appearance", "structure", "never", "seldom", "place"]
"""How a category counts.

- `appearance`: a quality that an image shows; outweighs `seldom`.
- `structure`: a thing that an image shows; enough on its own.
- `never`: no image shows it, whatever else is said.
- `seldom`: not shown, unless the statement also describes an appearance.
- `place`: says where, or that something is absent, but not what; counts for nothing.
"""


@dataclass(frozen=True)
class Category:
    """One kind of thing that statements speak of."""

    name: str
    weight: Weight
    meaning: str
    """Completes the sentence 'it speaks of ...'."""
    patterns: tuple[str, ...]


def _category(name: str, weight: Weight, meaning: str, patterns: str) -> Category:
    return Category(name, weight, meaning, tuple(" ".join(p.split()) for p in patterns.split(",")))


APPEARANCE = (
    _category(
        "color",
        "appearance",
        "color",
        """red, reddish, redness, reddened, redder, erythem*, pink*, brown*, black, blackish,
        blackened, blacker, white, whitish, whiter, whitened, whiteness, whitening, blue,
        bluish, blueish, bluer, gray*, green, greenish, yellow*, orange, orangish, purple,
        purplish, violet, violaceous, lilac, lavender, magenta, maroon, burgundy, crimson,
        scarlet, ruby, rosy, rusty, rust colored, copper*, bronze*, tan, tannish, beige, cream
        colored, creamy, ivory, amber, golden, gold colored, straw colored, silver*, slate,
        turquoise, salmon*, peach, ochre, ebony, chocolate, cherry, strawberry, raspberry,
        plum, port wine, cafe au lait, cyanotic, dusky, *colored, *toned, *coloration,
        discolor*, multicolor*, bicolor*, tricolor*, variegat*, monochrom*, polychrom*,
        hyperchrom*, hypochrom*, normochrom*, pigment*, hyperpigment*, hypopigment*,
        depigment*, unpigmented, nonpigmented, amelanotic, pale, paler, paleness, pallor,
        dark, darker, darkest, darkly, darkened, darkness, lighter, lightened, light spot*,
        light area*, light patch*, light center, light border, light edge*, light skin, light
        shade*, basophilic*, eosinophilic, acidophilic, azurophilic, amphophilic, neutrophilic
        granul*, *staining, stained, hue, hues, tint*, shade, shades, shading, tinge*, blush,
        ruddy, mottl*, bright, brighter, brightly, brightness, vivid, dull, duller,
        opalescen*, iridescen*, multiple color*, many colors, several colors, two colors,
        three colors, # colors, more than one color, different color*, variety of colors,
        various colors, mixed colors, color variation*, variation* in color, uneven color,
        single color, one color, rainbow*, jaundiced, icteric, ashen, sallow, fluoresc*,
        achrom*""",
    ),
    _category(
        "shape",
        "appearance",
        "shape",
        """*shaped, shape, shapes, shapeless, round, rounder, rounded, roundish, oval, ovals,
        ovoid, ellip*, circular, circle*, circumferential*, ring, rings, ringed, annular,
        polycyclic, crescent*, sickle*, teardrop*, tear drop*, target like, target cell*,
        bullseye, bulls eye, dome, domed, domes, flat, flatter, flattened, flattening, flatly,
        raised, elevated, elevation, protru*, protuberan*, projection*, projecting,
        outgrowth*, sunken, depressed, depression*, indent*, umbilicat*, crater*, pit, pits,
        pitted, pitting, concav*, convex*, biconcav*, biconvex, bulg*, balloon*, collaps*,
        bowed, bowing, curv*, incurv*, bent, kink*, twist*, tortu*, coil*, spiral*,
        corkscrew*, hairpin*, looped, loops, serpigin*, serpentine, linear*, line, lines,
        straight*, elongat*, tubular*, cylindr*, spher*, globular, globoid, cube*, cuboid*,
        columnar, pointed, taper*, angular*, angulat*, acute angle*, obtuse angle*, polygon*,
        square*, rectang*, triang*, wedge*, cone, conical, stellate*, star, star like,
        starfish, spicul*, spiky, spike*, spiny, lobed, lobul*, lobate*, multilob*, bilob*,
        trilob*, polylob*, unilob*, segmented, hypersegment*, hyposegment*, nonsegment*,
        butterfly, bat wing*, batwing, horseshoe*, mushroom*, cauliflower*, finger like,
        fingerlike, fingers of, leaf like, spoke wheel*, dumbbell*, hourglass*, bulbous,
        polypoid, papillary, papillomatous, pedunculat*, sessile, exophytic, endophytic,
        fungating, cystic, nodular, nodulocystic, micronodular, spindle*, dendritic, ameboid,
        *iform, deform*, misshap*, malform*, distort*, contort*, irregular*, amorphous,
        pleomorph*, polymorph*, anisocyt*, poikilocyt*, anisokaryosis, ovalocyt*, schistocyt*,
        dacrocyt*, dacryocyt*, acanthocyt*, echinocyt*, stomatocyt*, drepanocyt*, crenat*,
        crenulat*, burr cell*, fragment*, folded, folds, fold, folding, infold*, convolut*,
        wrinkl*, crease*, crinkl*, pucker*, dimpl*, notch*, scallop*, cleft*, cleaved,
        groove*, grooving, furrow*, ridge*, fissure, fissures, fissured, crack*, split, gyr*,
        sulc*, undulat*, wavy, wave like, festoon*, tented, tenting, blunt*, cupped, cupping,
        excavat*, bifid, forked, vertical*, horizontal*, oblique*, u shaped, hooked, tilt*,
        moth eaten, arc, arcs, arch, arched, scoliosis, kyphosis, kyphotic, lordo*, hobnail*,
        saucer*, slit, slits, clock face, coffee bean*, fried egg, owl eye*, zigzag*, hump,
        humps, shaggy, heaped, jig saw, jigsaw, barrel*, dextrocardia, extend*, fused,
        drumstick*, hyphen like, tadpole*, eventration, wedging, molding""",
    ),
    _category(
        "symmetry",
        "appearance",
        "symmetry",
        """symmetr*, asymmetr*, nonsymmetr*, lopsided, uneven*, evenly, even border*, even edge*,
        even color*, even surface*, even pigment*, even outline*, even margin*, off center,
        eccentric*, excentric*, centered, one half""",
    ),
    _category(
        "border",
        "appearance",
        "the border",
        """sharp*, demarcat*, well defined, ill defined, poorly defined, clearly defined,
        undefined, defined border*, defined edge*, defined margin*, indistinct*, distinct,
        distinctly, blur*, fuzzy, smudg*, smear like, obscur*, efface*, feather*, jagged*,
        ragged*, serrat*, sawtooth*, regular, regularly, regularity, circumscrib*,
        encapsulat*, unencapsulat*, nonencapsulat*, infiltrating, infiltrative, pushing
        border*, pushing margin*, rolled, abrupt edge*, abrupt end*, abrupt border*, abrupt
        cut*, abruptly ending, ends abruptly, fades, fading, crisp*, clear cut, clear border*,
        clear edge*, clear margin*, undermined, halo, halos, punched out, geographic, fade
        into, blend*, merges, merging, loculat*, obliterat*, merged, rim like""",
    ),
    _category(
        "texture",
        "appearance",
        "texture",
        """scaly, scale, scales, scaled, scaling, scaliness, flak*, peeling, peeled, crusted,
        crusty, crusting, rough, rougher, roughness, roughened, coarse*, smooth*, fine,
        finely, granular, granularity, grainy, granulated, bump*, lumpy, pebbl*, wart like,
        warty, verruc*, wax*, greas*, oily, shiny, shinier, shine, shines, shining, gloss*,
        glisten*, glassy, glass like, pearly, pearlescent, pearl like, satin*, velvet*, silk*,
        leather*, lichenif*, keratotic, hyperkerat*, parakerat*, horny, stuck on, moist, wet,
        soggy, dry, dryness, cracked, textured, textureless, woven, corrugat*, knobby,
        spongiform, spongy appearance, woolly, wooly, cobblestone*, papillat*, denud*, raw,
        macerat*, foam*, froth*, bubbl*, soap bubble*, vacuolat*, hyalin*, mucoid, myxoid,
        chalk*, cheesy, caseous, caseating, fibrillar*, filament*, feathery, threadlike""",
    ),
    _category(
        "pattern",
        "appearance",
        "pattern",
        """homogen*, heterogen*, inhomogen*, nonhomogen*, uniform*, patchy, blotch*, speckl*,
        stippl*, dotted, spotted, spotty, streak*, striat*, stripe*, banded, bands, band like,
        banding, marbl*, whorl*, swirl*, lace*, lacy, mesh*, network*, net like, reticul*,
        grid*, lattice*, mosaic*, honeycomb*, checkerboard*, crazy paving, tree in bud,
        miliary, radial*, radiating, radiates, starburst*, arboriz*, arboris*, branch*, tree
        like, fan like, concentric*, parallel*, perpendicular*, crisscross*, criss cross*,
        crosshatch*, rosette*, cluster*, clump*, aggregat*, agglutinat*, grouped, groups of,
        scatter*, diffuse*, focal, multifocal, unifocal, confluen*, coalesc*, discrete,
        disseminat*, dispers*, sparse*, crowd*, overlap*, stack*, layered, layers,
        multilayer*, monolayer*, nest, nests, nested, palisad*, arranged, storiform,
        herringbone, cribriform, trabecul*, acinar, back to back, single file, indian file,
        rouleaux, stratif*, pseudostratif*, orderly, disorder of, disorderly, disorgan*,
        disarray*, haphazard*, randomly arranged, randomly distributed, loss of polarity, loss
        of * polarity, nuclear polarity, structureless, featureless, monotonous, monomorph*,
        lepidic, interlac*, interdigitat*, tram track*, tramline*, tessellat*, tigroid,
        perifollicular, peribronchovascular, centrilobular, variable sized, equally spaced,
        spaced, starry sky, chicken wire, onion skin*, salt and pepper, fishnet, zebra, tiger,
        peppering, pseudonetwork*, layering, spread throughout, spread across, spread over,
        spread evenly, pruning, pruned, syncyti*, pseudorosette*, cohesive, discohesive,
        dyscohesive, widespread, popcorn, eggshell, egg shell, leopard, bull s eye, angioid
        streak*, single layer*, double layer*, papulosquamous, maculopapular, evenly spread""",
    ),
    _category(
        "density",
        "appearance",
        "density or brightness",
        """dens*, opacit*, opaque, opacif*, lucen*, radiolucen*, hyperlucen*, translucen*,
        transparen*, radiodens*, radiopa*, hyperdens*, hypodens*, isodens*, hyperintens*,
        hypointens*, isointens*, hyperecho*, hypoecho*, anecho*, isoecho*, echogenic*, echoic,
        hyperattenuat*, hypoattenuat*, attenuation, enhancement, enhancing, nonenhancing,
        ground glass, groundglass, hazy, haze, haziness, cloud*, fog, foggy, veil, veiled,
        veil like, milky, smoky, fluffy, wispy, cotton*, solid, subsolid, semisolid, hollow,
        clear, clearer, clearing, shadow*, whiteout, white out, washed out, faint, fainter,
        faintly, glow*, reflective, hyperreflect*, hyporeflect*, saturated, subtle,
        prominent*, conspicuous*, inconspicuous*, intense, intensely, hyperfluoresc*,
        hypofluoresc*, photopenic, blank, empty, vesicular nucle*, packed, high signal, low
        signal, bright signal, signal intensit*, signal loss, restricted diffusion, diffusion
        restriction, uptake, enhances, demineraliz*, osteopen*, sheen, glint*, reflectance,
        filled, fullness, hyperemi*, plethor*, oligemi*""",
    ),
    _category(
        "size",
        "appearance",
        "size",
        """small, smaller, smallest, tiny, minute, large, larger, largest, big, bigger, huge,
        giant, massive*, enlarged, enlargement, expanded, expansion, hyperinflat*,
        hyperexpan*, inflated, dilat*, ectatic, ectasia, wide, wider, widely spaced, widened,
        widening, broad*, narrow*, thick*, thin, thinner, thinned, thinning, thinly, slender,
        slim, short, shorter, shortened, long, longer, tall, taller, deep, deeper, deeply,
        shallow, superficial*, diameter*, # mm, # cm, # um, # μm, # micron*, # micromet*, #
        millimeter*, # centimeter*, # inch*, # nm, pinpoint*, pinhead*, *sized, hypertroph*,
        atroph*, shrunken, shrinkage, constrict*, stenos*, stenot*, attenuated, engorg*,
        distend*, distension, distention, hypoplas*, twice, swollen, bulky, plump, slit like,
        slitlike, compressed, macrocyt*, microcyt*, megalo*, *megaly, macronodul*""",
    ),
    _category(
        "comparison",
        "appearance",
        "what it looks like",
        """*like, look* like, resembl*, reminiscent of, in the form of, *oid, in the shape of""",
    ),
)

STRUCTURE = (
    _category(
        "aspect",
        "structure",
        "an aspect of how it looks",
        """color, colors, size, texture, border*, edge, edges, margin*, boundar*, outline*,
        contour*, silhouette*, visible, seen clearly, clearly seen, cannot be seen, not be
        seen""",
    ),
    _category(
        "surface structure",
        "structure",
        "structures of skin and surfaces",
        """papul*, macule*, nodul*, plaque*, patch, patches, spot, spots, dot, dots, globul*,
        clod*, pseudopod*, streaming, cyst, cysts, microcyst*, milia, comedo*, opening*,
        plug*, pore, pores, vesic*, blister*, tense blister*, bulla*, tense bulla*, pustul*,
        wheal*, welt, welts, hives, rash*, telangiect*, vessel*, blood vessel*, vascul*,
        microvascul*, hypervascul*, avascul*, capillar*, petech*, purpur*, ecchymo*, bruise,
        bruises, hematoma*, lacuna*, lagoon*, hair, hairs, hairless, hairy, follicle*,
        follicular, scar, scars, scarring, scarred, cicatri*, ulcer*, erosion*, eroded,
        erosive, excoriat*, crust, crusts, scab*, open sore*, freckl*, age spot*, skin tag*,
        mass, masses, swelling*, edema*, keratin*, horn, horns, pearl, pearls, regression
        structure*, regression area*, rosettes, fluid filled, blood filled,
        pus filled, blood spot*, dried blood, blood crust*, pus, slough*, eschar*, polyp*,
        stone, stones, abscess*, granuloma*, angioma*, keloid*, burrow*, desquamat*, alopecia,
        bald*, stubble, inflamed, wound*, laceration*, lichenoid, sebum, gland openings,
        stain, port wine stain*, mottling, vein*, blackhead*, whitehead*, pimple*, boil,
        boils, birthmark*, wart, warts, fissuring, livedo, vegetat*, crystalline, chrysalis,
        covered with, covered by, covering, surrounded by, surrounding, pool* of blood, blood
        pool*, blood in the vitreous, blood under, blood within, blood in front, coating,
        hypertrich*, collarette*, conjunctival injection, ciliary injection""",
    ),
    _category(
        "radiographic structure",
        "structure",
        "structures of a radiograph or scan",
        """consolidat*, infiltrat*, effusion*, pneumothora*, hydropneumothora*, hemothora*,
        pneumoperiton*, pneumomediastin*, atelecta*, cavit*, bronchogram*, bronchiecta*,
        emphysema*, surgical emphysema, fibros*, fibrot*, tube, tubes, chest tube*, chest
        drain*, endotracheal, nasogastric, tracheostomy tube*, catheter*, central line*, wire,
        wires, wiring, lead, leads, pacemaker*, defibrillator*, clip, clips, surgical clip*,
        surgical suture*, surgical staple*, surgical wire*, surgical scar*, surgical drain*,
        surgical material, sternotomy wire*, postsurgical scar*, suture*, staple*, prosthe*,
        implant*, device*, hardware, stent*, screw*, plate, plates, metal*, foreign bod*,
        fractur*, stress fracture*, ink, ink mark*, pen mark*, ruler*, healed fracture*,
        healing fracture*, healed rib*, healed scar*, callus, osteophyt*, bone spur*, lytic,
        sclerotic, calcif*, calcium deposit*, bleb*, septum, septa, septal, marking*,
        meniscus, air fluid level*, fluid level*, fluid, air, gas, gas bubble*, airspace*, air
        space*, shift, shifted, mediastinal shift, midline shift, tracheal shift, displac*,
        deviat*, pushed, pushing, pulled, retract*, traction, hernia*, dislocat*, sublux*,
        malposition*, misplaced, volume loss, loss of volume, low lung volume*, lung volume*,
        cuffing, lymphadenopath*, adenopath*, cephalization, redistribution,
        distribution, bronchial wall*, fat pad*, fat stranding, stranding, infarct*, blood clot*,
        thromb*, rotated, rotation, overexpos*, underexpos*, artifact*,
        peribronchial cuff*, interstitial*, alveolar, notching, sclerosis of, midline,
        defect*, gastric bubble, perfusion defect*, aerated, aeration, soft tissue*, foreign
        object*, degenerative change*, compression, ecg electrode*, ecg lead*, ecg wire*,
        electrode*, medical device*, medical tube*, metallic marker*, side marker*, skin
        marker*, surgical marker*, valve, valves, picc, cardiothoracic ratio, ratio,
        pneumatocele*, apical cap, overlie*, overlying, joint space*, situs inversus, mucus
        plug*, congestion, reticulation, enlarged node*, bullet*, jewelry, tip of, bowel
        loop*, fat plane*, mass effect, ground glass nodule*""",
    ),
    _category(
        "fundus structure",
        "structure",
        "structures of the fundus",
        """hemorrhag*, microhemorrhag*, blot, blots, exudat*, hard exudate*, soft exudate*,
        drusen*, hard drusen, soft drusen, microaneurysm*, aneurysm*, neovascul*, new vessel*,
        new blood vessel*, beading, beaded, beads, cup, cups, cup to disc, cup disc, rim,
        rims, detached, detachment*, retinal tear*, hole, holes, membrane*, tuft*, nicking,
        arteriovenous crossing*, vessel crossing*, collateral*, laser scar*, laser spot*,
        laser mark*, laser burn*, photocoagulation scar*, photocoagulation mark*, deposit*,
        foveal reflex, light reflex, gliosis, tortuous, copper wiring, silver wiring, disc
        swelling, disc edema, cotton wool*, emboli, plaques, opacities, staphyloma*,
        papilledema, bone spicule*, crystal*, lens opacit*, flecks, fleck, loops of, pit of,
        sheathing, pulsation*, boxcar*, snowball*, snowbank*, coloboma*, myelinated,
        medullated, rarefaction, sunburst, nerve fiber layer defect*, cup to disc ratio""",
    ),
    _category(
        "cell structure",
        "structure",
        "structures of cells",
        """nucle*, anucle*, binucle*, multinucle*, mononucle*, denucle*, enucle*, perinucle*,
        nonnucle*, chromatin*, cytoplasm*, granule*, hypergranul*, hypogranul*, agranul*,
        granulation*, vacuol*, lobe, lobes, lobation, inclusion*, auer, rod, rods, dohle bod*,
        howell jolly, jolly bod*, heinz bod*, pappenheimer, cabot, bodies, blasts, ring form*,
        trophozoit*, schizont*, gametocyt*, hemozoin, merozoit*, leptocyt*, bite cell*, pencil
        cell*, helmet cell*, smudge cell*, basket cell*, ghost cell*, band cell*, band form*,
        red blood cell*, white blood cell*, red cell*, white cell*, nuclear to cytoplasmic,
        cytoplasmic ratio, n c ratio, nc ratio, gram positive, gram negative, cocci, bacilli,
        hyphae, spores, budding, chains, pseudohyphae, platelet clump*, cell wall*, cell
        border*, cell membrane*, organelle*, microvilli, cilia, flagell*, hof, azurophil
        granul*, reticulocyt*, polychromasia, cell type*, codocyt*, keratocyt*, siderocyt*,
        barr body, flower cell*, lymphocyt*, monocyt*, neutrophil*, eosinophils, basophils,
        erythroblast*, megakaryocyt*, platelet satellit*, satellitism, intracytoplasmic,
        intranuclear, pseudoinclusion*""",
    ),
    _category(
        "tissue structure",
        "structure",
        "structures of tissue",
        """gland, glands, glandular, duct, ducts, ductal, ductule*, acini, tubule*, crypt*,
        villi, villous, papillae, papilla, fronds, stroma*, collagen*, elastosis, fiber*,
        fibrous, fibroblast*, fibrin*, fibrovascular, mucin*, mucus, mitos*, mitot*, necros*,
        necrot*, apopto*, atypia, atypical, dysplas*, hyperplas*, metaplas*, desmoplas*,
        anaplas*, differentiated, undifferentiated, epitheli*, squamous, basaloid,
        keratinization, basement membrane*, lumen*, lumin*, psammoma*, inflammatory cell*,
        inflammatory infiltrate*, giant cell*, spindle cell*, clear cell*, goblet cell*, foam
        cell*, signet ring*, fat cell*, fat droplet*, fat vacuole*, lipid droplet*, lipid
        vacuole*, droplet*, adipocyt*, adipose, fatty change, steatosis, intercellular
        bridge*, bridges, bridging, invasion, perineural, lymphovascular, tumor bud*, cords,
        cord, sheet, sheets, bundle*, fascicl*, strand*, capsule, capsular, architecture,
        architectural, cellularity, hypercellular*, hypocellular*, dividing cell*, dividing
        nucle*, acellular*, cellular, edematous, amyloid*, granulation tissue, macrophage*,
        plasma cells, smooth muscle, cartilage, osteoid, melanin*, melanophage*, hemosiderin*,
        spongio*, acanthosis, acantholy*, papillomatosis, rete, congest*, pattern, patterns,
        patterned, multiple, numerous, solitary, abundant, scant*, scattered, single lesion*,
        cystic space*, pseudocyst*, koilocyt*, dyskerat*, comedonecrosis, tumor cell*,
        neoplastic cell*, malignant cell*, karyorrhe*, pykno*, germinal center*, microcalcif*,
        caseation, histiocyt*, myoepitheli*, rare mitos*, rare mitot*, perivascular,
        intraluminal, connected by, joined by, separated by, thrombus, muscle fiber*, nerve
        bundle*, leukocyte infiltrat*, tumor island*, islands, island of, islands of""",
    ),
)

NEVER = (
    _category(
        "treatment",
        "never",
        "treatment or prevention",
        """treat*, untreated, therap*, surg*, postsurg*, operat*, postoperat*, preoperat*,
        excis*, resect*, cryo*, cauteri*, electrocaut*, electrodesic*, electrosurg*, curett*,
        laser*, remov*, ablat*, medicat*, medicine*, medical*, drug*, antibiotic*, antifung*,
        antivir*, anti inflammatory, antihistamin*, steroid*, corticosteroid*,
        glucocorticoid*, chemo*, radiother*, radiation, immunother*, vaccin*, immuniz*,
        inject*, infus*, transfus*, transplant*, dialysis, ventilator*, ventilation, intubat*,
        supplemental, inhaler*, insulin, statin*, aspirin, tablet*, pill, pills, dose, doses,
        dosage, cream, creams, ointment*, lotion*, gel, gels, moisturi*, emollient*,
        sunscreen*, apply, applying, topical*, prescri*, manage*, managing, prevent*, avoid*,
        protect*, cloth*, hat, hats, wear, wearing, monitor*, follow up, followed up,
        followup, checkup*, check up*, checked, hospital*, admitted, admission, rehab*,
        watchful, surveillance, recommend*, requires, require, requiring, needs, need to, need
        for, should, must, hygiene, wash*, diet, diets, dietary, exercise*, quit*, respond*
        to, responsive to, response to, resistant to, resistance, sensitive to, amputat*,
        *ectomy, *plasty, bronchoscop*, colonoscop*, laparoscop*, drainage, drained, freez*,
        frozen off, bandage*, cold compress*, diuretic*, anticoag*, photodynamic,
        phototherapy, retinoid*, immunosuppressants, regimen*, dressing*, hydrat*, bed rest,
        first line, second line, broad spectrum""",
    ),
    _category(
        "symptom",
        "never",
        "what somebody feels",
        """itch*, prurit*, pain, pains, painful*, painless*, hurt*, ache, aches,
        achy, aching, headache*, backache*,
        stomachache*, soreness, sore throat, sore to, tender*, burn, burns, burning, sting*,
        numb*, tingl*, discomfort*, uncomfortable, irritation, fever*, febrile, chill*,
        sweat*, cough*, sputum, phlegm, hemoptysis, dyspn*, wheez*, breathless*, breathing,
        breath, shortness*, difficult*, trouble *, fatigue*, tired*, weakness, malaise, weight
        loss, weight gain, loses weight, losing weight, appetite, nause*, vomit*, diarrhea*,
        constipat*, dizz*, fainting, palpitat*, vision, eyesight, visual acuity, visual loss,
        visual field*, visual disturb*, blind*, floater*, flash*, photophob*, glare, watery
        eye*, dry eye*, dry mouth, see at night, seeing, easy bruis*, bruis* easily, bleed*
        easily, bleed* gums, nosebleed*, nose bleed*, rectal bleed*, vaginal bleed*, bowel
        habit*, symptom*, asymptomatic*, complain*, swallow*, hoarse*, letharg*, confusion,
        anxi*, distress*, quality of life, bother*, flu like, cold like, drows*, cramp*,
        sensation*, sensory, self conscious, embarrass*, swollen lymph, runny, stuffy, sneez*,
        hearing, insomnia, nasal congest*, leg swelling, swelling of * legs, ankle swelling,
        swollen leg*, swollen ankle*, swollen feet, swollen gland*, bluish lips, blue lips,
        bluish nail*, stool, stools, urine, seizure*, bright light*, bright sun*, reading,
        read, tightness, dusk""",
    ),
    _category(
        "demographics",
        "never",
        "who has it",
        """people, person*, men, women, man, woman, male, males, female*, boy*, girl*, child*,
        kid, kids, infant*, infancy, newborn*, neonat*, baby, babies, toddler*, adolescen*,
        teen*, adult*, elder*, seniors, older, young, younger, youth, age, ages, aged, aging,
        ageing, year old*, menopaus*, postmenopaus*, premenopaus*, pregnan*, puberty, gender*,
        sex, sexes, ethnic*, racial*, race, races, caucasian*, asian*, african*, hispanic*,
        european*, population*, individuals, patients, skin type*, fitzpatrick, complexion*,
        light skinned, dark skinned, pale skinned, fair, blond*, red hair*, hair color, eye
        color, blue eye*, green eye*, light eye*, light hair*, light colored hair, light
        colored eye*, famil*, heredit*, inherit*, genetic*, gene, genes, ancest*, relatives,
        sibling*, mother, mothers, father, fathers, parent, parents, occupation*, worker*,
        farmer*, outdoor*, tropical, countries, worldwide, smoker*, nonsmoker*, diabetics,
        someone, anyone, everyone, athletes, darker skin, darker skinned, lighter
        skin, lighter skinned, skin phototype*, skin of color""",
    ),
    _category(
        "risk",
        "never",
        "risk or exposure",
        """risk*, predispos*, suscept*, prone, likelihood, more likely, less likely, chance,
        chances, exposure*, exposed to, smoking, smoked, cigarette*, tobacco, alcohol*, obes*,
        overweight, sunbath*, tanning, sunburn*, asbestos*, pollut*, travel*, history,
        histories, immunocompr*, immunodef*, immunosuppr*, weakened immune, hiv, lifestyle,
        stress, contagio*, transmi*, airborne, person to person contact, overuse, sedentary,
        comorbid*, underlying condition*, underlying disease*""",
    ),
    _category(
        "prognosis",
        "never",
        "what becomes of it",
        """prognos*, surviv*, mortal*, fatal*, death*, die, dies, dying, deadly, lethal,
        dangerous*, danger, threat*, harmful, harmless*, curab*, cure, cures, cured, incurab*,
        outcome*, recur*, relaps*, remission*, spread to, spreads to, spreading to, spread
        beyond, turn into, turns into, turning into, develop into, develops into, developing
        into, progress to, progresses to, evolve into, evolves into, transform* into, become
        cancer*, becomes cancer*, become malign*, becomes malign*, becoming cancer*,
        aggressive*, worry, worrisome, worrying, concern*, alarming, serious*, emergency,
        urgent*, reassur*, disab*, invades other, likely to, health, life expectancy,
        recover*, outlook, good chance""",
    ),
    _category(
        "measurement",
        "never",
        "a test or measurement",
        """blood test*, blood pressure, blood sugar*, glucose, cholesterol, hba1c, a1c, serum,
        levels, level of, raised level*, elevated level*, elevated in, elevated during,
        elevated by, elevated after, raised during, increased during, increased in, decreased
        in, reduced in, count, counts, cell count*, blood count*, blood cell count*, white
        blood cell count*, red blood cell count*, white cell count*, red cell count*, platelet
        count*, positive for, negative for, mutat*, kras, braf, egfr, her2, brca*, receptor*,
        marker*, biomarker*, antigen*, pcr, culture, cultures, cultured, swab*, test, tests,
        testing, tested, oxygen saturation, low oxygen, oxygen level*, hypox*, intraocular
        pressure, eye pressure, high pressure, low pressure, increased pressure, troponin*,
        enzym*, hormone level*, titer*, esr, crp, wbc, hemoglobin*, hematocrit, creatinine,
        bilirubin, psa, ige, igg, vitamin*, deficien*, *cytopenia, neutropenia, leukopenia,
        lymphopenia, fold increase*, fold higher, raised in, cell line*, neutrophilia,
        eosinophilia, lymphocytosis, leukocytosis, monocytosis, viral
        load, microsatellite, methyl*, chromosom*, translocation*, karyotyp*, dna, rna,
        spirometry, lung function, heart rate, ecg, eeg, temperature, immunohisto*,
        immunostain*, special stain*, flow cytometry, cd*, sequencing, percent of circulating,
        of circulating""",
    ),
    _category(
        "other senses",
        "never",
        "touch, sound or smell",
        """touch, touched, touching it, palpa*, felt, feel, feels, feeling, smell*, odor*, foul,
        taste, breath sound*, heard, auscult*, crackl*, rale, rales, rhonchi, percuss*,
        murmur*, sounds, sound, dullness to, pressed, squeez*, when scratched, rubbed, pinch*,
        run over with, by hand, fingertip*""",
    ),
    _category(
        "time course",
        "never",
        "a course in time",
        """over time, with time, through time, year*, month*, week*, day, days, daily, hour*,
        minutes, decade*, lifetime, lifelong, lifespan*, life span*, life cycle, later in
        life, evolving, evolution, evolves, evolve, sudden*, onset, rapid growth, rapid*
        grow*, rapid* enlarg*, slow growth, fast growth, growth rate, grow* rapidly, grow*
        quickly, grow* fast, grow* slowly, grow* larger, grow* bigger, grow* in size, increas*
        in size, decreas* in size, increasing in, growing mole*, growing lesion*, change in,
        changes in size, changes in color, changes in shape, changes in appearance, changes in
        the, changes size, changes color, changes shape, changes over, change over, change
        color, change size, change shape, change or, changing, may change, can change, not
        change, no change, changed, changes with, get bigger, gets bigger, get larger, gets
        larger, get darker, gets darker, getting *, become larger, becomes larger, become
        bigger, becomes bigger, become darker, becomes darker, become thicker, becomes
        thicker, become more, becomes more, may become, can become, eventually, worsen*,
        improv*, resolv*, heal, heals, healing, not healed, come* and go*, intermittent*,
        episod*, temporar*, transient*, birth, born, childhood, since, ago, long standing,
        longstanding, long term, long lasting, long time, long as, short term, short lived,
        short time, short period, duration, night, season*, winter, summer, first appear*,
        appear* after, disappear*, go* away, went away, wax and wane, persists, persisting,
        persist, persistent for, recent*, newly, clear* up, incubat*""",
    ),
    _category(
        "hedge",
        "never",
        "something that may or may not be so",
        """may or may not, might or might not, with or without, person to person, case to case,
        patient to patient, individual to individual, one to another, depend* on, depend*
        upon, depending, any size, any shape, any color, any part, any area, any age,
        anywhere, not always, no specific, no particular, not specific, nonspecific,
        unpredictab*, vary widely, varies widely, vary greatly, varies greatly, vary between,
        varies between""",
    ),
    _category(
        "diagnosis",
        "never",
        "how it is diagnosed",
        """diagnos*, misdiagnos*, undiagnos*, mistaken, confused with, dermatolog*, doctor*,
        physician*, radiologist*, pathologist*, ophthalmolog*, specialist*, clinician*, exam,
        exams, examination*, fine needle*, screening, gold standard, like other *, like any *,
        look* like other, second opinion, self exam*""",
    ),
    _category(
        "anecdote",
        "never",
        "somebody's own case",
        "i, my, me, we, our, you, your, yourself, mine, im, ive",
    ),
)

SELDOM = (
    _category(
        "touch",
        "seldom",
        "how it feels under a finger",
        """firm*, hard, harder, hardness, soft, softer, softness, rubber*, sticky, lump, lumps,
        doughy, mushy, squish*, spongy, warm*, hot, hotter, cold, cool, mobile, movable,
        moveable, immobile, immovable, fixed to, freely, compressib*, indurat*, friable,
        elastic, springy, fluctuan*, gritty, heavy, heaviness, sandpaper*, sandpaper like,
        stiff*, tense, pliab*""",
    ),
    _category(
        "cause",
        "seldom",
        "a cause or origin",
        """caus*, because, result of, result from, results from, resulting from, trigger*,
        induc*, infect*, virus*, viral*, papillomavirus*, bacteri*, fungus, fungi, fungal,
        microb*, pathogen*, uv, ultraviolet, sun, sunlight, sun damage*, trauma, traumatic,
        injur*, allerg*, toxin*, autoimmun*, hormon*, ischemi*, arise* from, arising from,
        originat*, derive* from, derived from, develop* from, develop in, develops in, forms
        when, form when, occur when, occurs when, overproduc*, overgrowth*, abnormal growth*,
        start as, starts as, begin as, begins as, starts in, begins in, reaction to,
        reaction*, lead to, leads to, leading to, result in, results in, linked to, clogged,
        blockage of, irritated by, insect, bite, bites, lead poisoning, produced by""",
    ),
    _category(
        "epidemiology",
        "seldom",
        "how often it occurs",
        """common, commonly, commonest, uncommon*, rare, rarely, rarest, rarity, prevalen*,
        incidence*, accounts for, account for, makes up, make up, percent, percentage*, %,
        most frequent, most abundant, second most, one of the, leading cause, leading, most
        often, affects, affect, endemic, epidemic*, outbreak*, statistic*, million*, mainly
        affect*, per year, cases per""",
    ),
    _category(
        "function",
        "seldom",
        "what it does in the body",
        """fight*, defen*, immun*, produce, produces, produced, production, secretes, secrete,
        releas*, engulf*, phagocyt*, destroy*, digest*, kill*, carry, carries, carrying,
        transport*, role, roles, function*, regulat*, circulat*, participat*, mediat*,
        histamine*, cytokine*, antibod*, clotting, helps, help, contribut*, pumps, pump,
        metabol*, respond, responds, response*, synthesi*, stores, differentiates into,
        matures into, matures in, attracted to, recruit*, line of defense, lines of defense,
        gas exchange""",
    ),
    _category(
        "behavior",
        "seldom",
        "how it behaves",
        """bleed*, ooz*, weep*, discharge*, sheds, shed, spread*, moves, move, moving, blanch*,
        falls off, fall off, peels off, comes off, scrape* off, catch* on, grow, grows, grew,
        slow growing, slowly growing, fast growing, rapidly growing, quickly growing,
        enlarges, enlarge, enlarging, expands, shrink*, darken, darkens, lighten, lightens,
        thicken, thickens, become, becomes, becoming, turns, turn, gets, change, rapid*,
        slow*, quickly, fast, gradual*, progress*, congenital*, permanent*, stable, early
        stage*, late stage*, advanced stage*, end stage, stage, stages, severity, new mole*,
        new growth*, new lesion*, new spot*, existing mole*, previous*, metasta*, invades,
        regress*, spontaneous*""",
    ),
    _category(
        "vagueness",
        "seldom",
        "variation instead of an appearance",
        """vary, varies, wide range, wide variety, unlike, variable, variably, differ, differs,
        differing, can be different, unusual, in some cases, some cases, sometimes absent,
        often absent, usually none, broad range, wide array""",
    ),
    _category(
        "disease",
        "seldom",
        "a disease rather than what is seen",
        """benign*, malignan*, cancer*, precancer*, noncancer*, premalign*, carcinoma*,
        melanoma*, sarcoma*, lymphoma*, leukemia*, disease*, disorder, disorders, syndrome*,
        condition, conditions, illness*, neoplas*, biops*, confirm*, detect*, incidental*,
        mimic*, suggest*, indicat*, sign of, signals, marker of, positive, negative, ct, mri,
        ultrasound, scan, scans, diabetes, diabetic, hypertens*, asthma, copd, tuberculosis,
        pneumonia, influenza, heart failure, heart attack, stroke, anemia*, arthritis, type
        of, types of, kind of, known as, called, deep vein thromb*, refers to, referred to,
        defined as, subtype*, classified, classification, named, term, terms, lymphoid,
        myeloid, thyroid, typhoid, rheumatoid, carcinoid, opioid*, sarcoid*, small cell lung,
        small cell carcinoma*, large cell carcinoma*, large cell lymphoma*, clear cell
        carcinoma*, giant cell arteritis, hairy cell leukemia*, sickle cell anemia, sickle
        cell disease*, sickle cell trait, cystic fibrosis, black lung, macular degeneration""",
    ),
)

PLACE = (
    _category(
        "location",
        "place",
        "where it is",
        """face, facial, scalp, nose, ear, ears, cheek*, forehead, lip, lips, eyelid*, neck,
        trunk, back, back of, chest, abdom*, arm, arms, leg, legs, hand, hands, foot, feet,
        finger, fingers, toe, toes, big toe, shin, shins, palm, palms, sole, soles, shoulder*,
        thigh*, knee*, elbow*, torso, genital*, mouth, body, head, limb*, extremit*, nail,
        nails, located, location*, found on, found in, found at, seen on, seen in, sun
        exposed, exposed area*, exposed skin, exposed site*, site, sites, region*, area,
        areas, lung, lungs, upper lobe*, lower lobe*, middle lobe*, right lobe, left lobe,
        both lobes, lobe of, lobes of, apex, apices, apical, base, bases, basal, hilar,
        perihilar, left, right, upper, lower, middle, central, centrally, peripher*, lateral*,
        medial*, anterior*, posterior*, bilateral*, unilateral*, deep in, deep into, deeper
        into, deep within, deep layer*, deeper layer*, superficial layer*, upper layer*, outer
        layer*, layers of, layer of, eye, eyes, liver, breast, bone marrow, blood, blood
        cells, bloodstream, surface of, in line with""",
    ),
    _category(
        "negation",
        "place",
        "what is absent",
        "no, not, non, without, absent, absence of, lack of, lacks, none, never, free of",
    ),
)

LEXICON = (*APPEARANCE, *STRUCTURE, *NEVER, *SELDOM, *PLACE)
