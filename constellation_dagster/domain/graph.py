"""Order and cycles of a directed graph, in time linear in its size and never recursive."""

import heapq
from collections import deque
from collections.abc import Collection, Iterator, Mapping

Children = Mapping[str, Collection[str]]


def topological_order(children: Children) -> list[str]:
    """Parents before children, otherwise by name; nodes on or below a cycle are left out.

    Args:
        children: For every node, the nodes that follow it.
    """
    waiting = dict.fromkeys(children, 0)
    for followers in children.values():
        for follower in followers:
            waiting[follower] += 1
    ready = [node for node, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for follower in children[node]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, follower)
    return order


def knots(children: Children) -> list[set[str]]:
    """The sets of nodes that all lead to each other (strongly connected, more than one node)."""
    # Tarjan's algorithm with its stack of calls made explicit.
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    found: list[set[str]] = []
    for root in children:
        if root in index:
            continue
        calls: list[tuple[str, Iterator[str]]] = []
        entering: str | None = root
        while entering is not None or calls:
            if entering is not None:
                index[entering] = lowest[entering] = len(index)
                path.append(entering)
                on_path.add(entering)
                calls.append((entering, iter(children[entering])))
                entering = None
            node, followers = calls[-1]
            for follower in followers:
                if follower not in index:
                    entering = follower
                    break
                if follower in on_path:
                    lowest[node] = min(lowest[node], index[follower])
            if entering is not None:
                continue
            calls.pop()
            if calls:
                caller = calls[-1][0]
                lowest[caller] = min(lowest[caller], lowest[node])
            if lowest[node] == index[node]:
                knot = {path.pop()}
                while node not in knot:
                    knot.add(path.pop())
                on_path -= knot
                if len(knot) > 1:
                    found.append(knot)
    return found


def shortest_path(children: Children, start: str, end: str, within: Collection[str]) -> list[str]:
    """The nodes from `start` to `end`, both included, through nodes of `within` only.

    Raises:
        ValueError: There is no such path.
    """
    came_from: dict[str, str | None] = {start: None}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for follower in children[node]:
            if follower in within and follower not in came_from:
                came_from[follower] = node
                queue.append(follower)
        if end in came_from:
            path: list[str] = []
            step: str | None = end
            while step is not None:
                path.append(step)
                step = came_from[step]
            return path[::-1]
    raise ValueError(f"no path leads from {start!r} to {end!r}")
