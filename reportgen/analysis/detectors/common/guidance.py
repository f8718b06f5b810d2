"""What findings can and cannot show, where several kinds share it."""

from reportgen.core.kinds import Guidance

REGIONS = Guidance(
    "Regions of neighbouring heads",
    "A region says that high values lie closer together than they would if the heads of each layer were shuffled. "
    "Heads of one layer have no order that the network knows of, so adjacency within a layer carries no functional "
    "meaning of its own; a useful next question is whether ablating the region changes the task more than ablating "
    "equally many other heads of the same layers.",
)
SINGLE_HEADS = Guidance(
    "Single outstanding heads",
    "A head that stands out is a candidate for closer study. Its value may be overestimated, because it was chosen "
    "for being large; scoring fresh examples would show how much.",
)
LAYERS = Guidance(
    "Differences between layers",
    "Scores of different layers need not be commensurable: the scale of a head’s output can change with depth. "
    "A trend over layers may therefore reflect scale as well as importance.",
)
