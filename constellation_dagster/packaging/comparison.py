"""Whether two forms of a model agree."""

import numpy as np

from constellation_dagster.packaging.artifact import Arrays


def disagreement(first: Arrays, second: Arrays, tolerance: float) -> tuple[str | None, float]:
    """Compares what two forms of a model gave for the same rows.

    Numbers agree within the tolerance, absolute or relative. A class may be another one only where
    the two likeliest classes are as likely as each other within it.

    Returns:
        What differs, None when they agree; and the largest difference between two numbers.
    """
    largest = 0.0
    tied = _ties(first, tolerance)
    for name, one in first.items():
        other = second[name]
        if one.shape != other.shape:
            return f"{name} has the shape {list(other.shape)}, not {list(one.shape)}", largest
        if one.dtype.kind == "f":
            one_, other_ = one.astype(np.float64), other.astype(np.float64)
            close = np.isclose(one_, other_, rtol=tolerance, atol=tolerance, equal_nan=True)
            with np.errstate(invalid="ignore"):
                distance = np.abs(one_ - other_)
            if distance.size and np.isfinite(distance).any():
                largest = max(largest, float(np.nanmax(distance)))
        else:
            close = np.asarray(one == other)
            if tied is not None and close.ndim == 1:
                close |= tied
        if not close.all():
            rows = np.unique(np.argwhere(~close)[:, 0])
            return f"{name} differs in {len(rows)} of {len(one)} rows", largest
    return None, largest


def _ties(outputs: Arrays, tolerance: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """For each row, whether its two likeliest classes are equally likely."""
    shares = outputs.get("probabilities")
    if shares is None or shares.ndim != 2 or shares.shape[1] < 2:
        return None
    ordered = np.sort(shares.astype(np.float64), axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2] <= tolerance)
