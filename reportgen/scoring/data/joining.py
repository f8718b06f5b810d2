"""How the texts of one row are put together: where they meet, one run of white space stands."""


def joined(left: str, right: str, *, kept: bool = False) -> tuple[str, str]:
    """Leave one run of white space where one text ends and the next begins with some: that with more line breaks.

    Else the first stands; ``kept``: it stands in any case. Two runs in a row are hardly ever meant, and tokenizers
    whose words hold the space before them read "is  Paris" as other words than "is Paris".
    """
    ends, begins = left[len(left.rstrip()) :], right[: len(right) - len(right.lstrip())]
    if not ends or not begins:
        return left, right
    if begins.count("\n") > ends.count("\n") and not kept:
        return left.rstrip(), right
    return left, right.lstrip()


def together(*texts: str, kept: bool = False) -> str:
    """Join texts one after the other (see ``joined``); ``kept``: the first one's end stands in any case."""
    whole, *rest = texts
    for text in rest:
        whole, text = joined(whole, text, kept=kept)
        whole += text
    return whole
