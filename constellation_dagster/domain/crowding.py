"""What is wrong with the edges taken together: cycles, and inputs with too many edges."""

from collections.abc import Mapping, Sequence, Set

from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.graph import knots, shortest_path, topological_order
from constellation_dagster.domain.plan import OutputRef
from constellation_dagster.domain.strays import Input
from constellation_dagster.domain.suggestions import listing

_SHOWN_OF_A_CYCLE = 12


def crowding_problems(
    pipeline: str,
    children: Mapping[str, Set[str]],
    crowded: Mapping[Input, Sequence[OutputRef]],
) -> list[Problem]:
    """Report cycles, and crowded inputs where no cycle explains them.

    An edge that leads back usually ends in an input that is fed already; that is one mistake.

    Args:
        pipeline: The pipeline's name.
        children: For every node, the nodes that read from it.
        crowded: What feeds each input that takes one edge and has more.
    """
    problems: list[Problem] = []
    explained: set[Input] = set()
    if len(topological_order(children)) < len(children):
        for knot in knots(children):
            closing: tuple[OutputRef, Input] | None = None
            for key, refs in crowded.items():
                inner = [ref for ref in refs if ref.node in knot] if key[0] in knot else []
                if inner and len(refs) - len(inner) <= 1:
                    explained.add(key)
                    closing = closing or (inner[-1], key)
            problems.append(_cycle(pipeline, children, knot, closing, crowded))
    for (node, port), refs in crowded.items():
        if (node, port) not in explained:
            problems.append(
                Problem(
                    code="too_many_edges",
                    message=f"this input takes one edge and has {len(refs)}: "
                    f"from {listing(str(ref) for ref in refs)}.",
                    pipeline=pipeline,
                    node=node,
                    port=port,
                    hint="Keep one.",
                )
            )
    return problems


def _cycle(
    pipeline: str,
    children: Mapping[str, Set[str]],
    knot: Set[str],
    closing: tuple[OutputRef, Input] | None,
    crowded: Mapping[Input, Sequence[OutputRef]],
) -> Problem:
    """One cycle among nodes that all lead to each other, through the `closing` edge if given."""
    if closing is not None:
        ref, (node, port) = closing
        path = shortest_path(children, node, ref.node, knot)
        others = listing(str(other) for other in crowded[node, port] if other != ref)
        hint = f"Remove the edge '{ref} → {node}.{port}': {others} feeds that input already."
    else:
        start = min(knot)
        # Through each follower there is a cycle; breadth first from one finds a short one.
        path = [start, *shortest_path(children, min(children[start] & knot), start, knot)[:-1]]
        hint = "Remove one of these edges."
    shown = path
    if len(path) > _SHOWN_OF_A_CYCLE:
        half = _SHOWN_OF_A_CYCLE // 2
        shown = [*path[:half], f"({len(path) - 2 * half} more)", *path[-half:]]
    return Problem(
        code="cycle",
        message=f"the nodes form a cycle: {' → '.join([*shown, path[0]])}.",
        pipeline=pipeline,
        hint=hint,
    )
