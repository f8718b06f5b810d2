"""Numbers as a reader should see them: three significant digits at most, no more than the interval allows."""

import math
from fractions import Fraction

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
NONE = "—"
LEAST = 1e-300  # what a probability too small for a float is held at


def _magnitude(value: float) -> int:
    """Return the power of ten of the first significant digit."""
    return math.floor(math.log10(abs(value)))


def decimals(value: float, digits: int = 3, half_width: float | None = None) -> int:
    """Return decimals for ``digits`` significant ones, never beyond the second digit of the interval's half-width."""
    wanted = digits - 1 - _magnitude(float(f"{value:.{digits - 1}e}")) if value else digits - 1
    if half_width and math.isfinite(half_width) and half_width > 0:
        allowed = 1 - _magnitude(half_width)
        wanted = min(wanted, allowed) if value else allowed
    return max(0, wanted)


def fixed(value: float | None, digits: int) -> str:
    """Return a number with so many decimals and a true minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if value < 0 and float(text.replace(",", "")) != 0 else text.lstrip("-")


def number(value: float | None, digits: int = 3, half_width: float | None = None) -> str:
    """Return a number to three significant digits; very small and very large ones as mantissa × power of ten."""
    if value is None or not math.isfinite(value):
        return NONE
    if value and not 1e-5 <= abs(value) < 1e7:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return fixed(value, decimals(value, digits, half_width))


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """Return an estimate with its 95 % interval in brackets where there is one, all with the same decimals."""
    if value is None or low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return number(value)
    if max(abs(value), abs(low), abs(high)) < 1e-4:
        return f"{number(value)} [{number(low)}, {number(high)}]"
    digits = decimals(value, 3, (high - low) / 2)
    return f"{fixed(value, digits)} [{fixed(low, digits)}, {fixed(high, digits)}]"


def span(first: int, last: int) -> str:
    """Return a range of whole numbers: ``1``, ``2–14``."""
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"


def probability(p: float) -> str:
    """Return a p- or q-value with two significant digits; never zero."""
    if p <= LEAST:
        return "< 10⁻³⁰⁰"
    if p >= 1e-5:
        text = f"{p:.{max(2, 1 - _magnitude(float(f'{p:.1e}')))}f}"
        return "1" if p == 1 else text if float(text) < 1 else "> 0.99"
    mantissa, power = f"{p:.1e}".split("e")
    return f"{mantissa} × 10{str(int(power)).translate(_SUPERSCRIPT)}"


def compared(number: str) -> str:
    """Return ``= 0.010``, ``< 10⁻³⁰⁰``."""
    return number if number[0] in "<>" else f"= {number}"


def share(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent; 0 % and 100 % are printed only where they are exact."""
    if value is None or not math.isfinite(value):
        return NONE
    text, edge = f"{100 * value:.{digits}f}", 10.0**-digits
    if value > 0 and float(text) == 0:
        return f"< {edge:.{digits}f} %"
    if value < 1 and float(text) >= 100:
        return f"> {100 - edge:.{digits}f} %"
    return f"{text.rstrip('0').rstrip('.') if value in (0, 1) else text} %"


def accuracy(value: float | None, n: int | None) -> str:
    """Return a share of ``n`` examples as a count where it is one."""
    if value is None:
        return NONE
    right = Fraction(value).limit_denominator(max(n or 1, 1)) if n else None
    whole = right is not None and n is not None and math.isclose(float(right), value, abs_tol=1e-9)
    return f"{share(value)} ({round(value * n)} of {n:,})" if whole and n else share(value)


def count(n: int, noun: str) -> str:
    """Return ``1 head``, ``2 heads``, ``1,024 heads``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def ordinal_list(items: list[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
