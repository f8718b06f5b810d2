"""Sentences whose verb agrees with a subject that stands some words before it."""

from random import Random

from reportgen.scoring.data.suites.common.drawing import Drawn, Writer

# singular, plural
SUBJECTS = tuple(
    tuple(pair.split("/"))
    for pair in (
        "key/keys book/books car/cars boy/boys girl/girls dog/dogs teacher/teachers student/students picture/pictures "
        "letter/letters box/boxes chair/chairs friend/friends doctor/doctors report/reports song/songs house/houses "
        "tree/trees farmer/farmers driver/drivers pilot/pilots artist/artists window/windows door/doors"
    ).split()
)
OTHERS = tuple(
    tuple(pair.split("/"))
    for pair in (
        "cabinet/cabinets table/tables garden/gardens river/rivers wall/walls road/roads tower/towers school/schools "
        "bridge/bridges shop/shops field/fields church/churches office/offices station/stations"
    ).split()
)
VERBS = (("is", "are"), ("was", "were"), ("has", "have"))
PLAIN = (
    "The {s}",
    "Yesterday we heard that the {s}",
    "I know that the {s}",
    "It is said that the {s}",
    "My friend told me that the {s}",
    "In the end the {s}",
)
BESIDE = (
    "The {s} near the {o}",
    "The {s} behind the {o}",
    "The {s} beside the {o}",
    "I think the {s} of the {o}",
    "We know that the {s} from the {o}",
    "The {s} in front of the {o}",
)
RELATIVE = (
    "The {s} that the {o} left behind",
    "The {s} which stood close to the {o}",
    "They said the {s} that we saw before the {o}",
    "The {s} that belonged to the {o}",
)
ACROSS = (*BESIDE, *RELATIVE)


def agreeing(template: str, verbs: tuple[str, str]) -> Writer:
    """Return what writes a sentence up to its verb; another noun, where there is one, is of the other number."""

    def write(random: Random) -> Drawn:
        subject, other, number = random.choice(SUBJECTS), random.choice(OTHERS), random.randrange(2)
        attractor = other[1 - number]
        prompt, corrupted = (template.format(s=subject[n], o=attractor) for n in (number, 1 - number))
        return Drawn(prompt, verbs[number], verbs[1 - number], corrupted)

    return write


def writers(templates: tuple[str, ...]) -> dict[str, Writer]:
    """Return a writer for each template with each verb."""
    return {f"{t} … {'/'.join(verbs)}": agreeing(t, verbs) for t in templates for verbs in VERBS}
