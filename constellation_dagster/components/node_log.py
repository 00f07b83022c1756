"""Loguru inside blocks: what a block logs stands in the run's own log in the Dagster UI."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message


@contextmanager
def node_log(log: logging.Logger, **correlation: str) -> Generator[None]:
    """Sends Loguru's messages to a run's log while a pipeline runs.

    Args:
        log: The run's log.
        correlation: Ids that every message carries as `extra`, such as the run's.
    """

    def forward(message: "Message") -> None:
        record = message.record
        log.log(record["level"].no, record["message"])

    sink = logger.add(forward, level="INFO", format="{message}")
    try:
        with logger.contextualize(**correlation):
            yield
    finally:
        logger.remove(sink)
