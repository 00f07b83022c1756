"""Model cards: what a person should know of a model before using it."""

from collections.abc import Iterable, Mapping

from constellation_dagster.domain.packages import PackageManifest, TensorSpec

_LIMITS = (
    "Nobody has written down what this model was made for, how good it is, or whom it may wrong. "
    "Register it with a card of your own to say so."
)


def model_card(manifest: PackageManifest, facts: Mapping[str, str]) -> str:
    """A card of what the package itself tells. Names and versions are no part of a package."""
    lines = ["# Model card", ""]
    lines += [f"- **{name}:** {_inline(value)}" for name, value in facts.items()]
    lines.append(f"- **Flavour:** {manifest.flavor}, in `{manifest.artifact}`")
    if manifest.onnx is not None:
        lines.append(f"- **Served as:** `{manifest.onnx}`, its ONNX form, which agrees with it")
    if manifest.classes:
        listed = ", ".join(f"`{_inline(name)}`" for name in manifest.classes)
        lines.append(f"- **Classes:** {listed}, the columns of its probabilities in this order")
    lines += ["", "## Takes", "", *_table(manifest.signature.inputs)]
    lines += ["", "## Gives", "", *_table(manifest.signature.outputs)]
    lines += [
        "",
        "## Known limits",
        "",
        _LIMITS,
    ]
    return "\n".join(lines) + "\n"


def _table(specs: Iterable[TensorSpec]) -> list[str]:
    rows = [
        f"| {_inline(spec.name)} | {spec.datatype} | "
        f"{' by '.join('any' if size == -1 else str(size) for size in spec.shape) or 'one'} |"
        for spec in specs
    ]
    return ["| name | type | shape |", "| --- | --- | --- |", *rows]


def _inline(text: str) -> str:
    """Text within a line or a cell of Markdown."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
