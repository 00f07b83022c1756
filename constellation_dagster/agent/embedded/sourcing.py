"""The sources that a clause names: files, tables, public data sets."""

from collections.abc import Mapping
from typing import Any, cast

from constellation_dagster.agent.embedded.reading import Clause, Token, extension, stem_of
from constellation_dagster.agent.embedded.targets import table_written
from constellation_dagster.agent.embedded.weighing import Weigher
from constellation_dagster.domain.facts import Facts
from constellation_dagster.domain.proposals import Step
from constellation_dagster.domain.registry import Registry


class SourceReader(Weigher):
    """Adds the steps that read what is named."""

    def read(self, token: Token) -> None:
        """Add the source that reads a file."""
        kind = extension(token.text)
        web = token.text.startswith(("http://", "https://"))
        name = f"read_{kind}"
        if web and kind in ("", "json") and self.known("fetch_json"):
            name = "fetch_json"
        if not self.known(name) or any(s.config.get("url") == token.text for s in self.steps):
            return
        self.steps.append(Step(block=name, config={"url": token.text}))

    def sources(self, clause: Clause) -> bool:
        """Add the sources that a clause names without a file: a table, a sample, a file's stem."""
        before = len(self.steps)
        words = {t.text for t in clause if t.kind == "word"}
        target = table_written(clause)
        if not words & {"sample", "example"} or "random" in words:
            for token in clause:
                fresh = token.kind == "table" and token is not target
                if fresh and not self.has_config("name", token.text):
                    self.steps.append(Step(block="read_table", config={"name": token.text}))
            said = [t.text for t in clause if t.kind == "word"]
            files = [f for f in self.facts.files if stem_of(f.path) in words]
            for file in sorted(files, key=lambda f: said.index(stem_of(f.path))):
                name = f"read_{extension(file.path)}"
                if self.known(name) and not self.has_config("url", file.path):
                    self.steps.append(Step(block=name, config={"url": file.path}))
        if len(self.steps) == before and not self.reads_something():
            self.sample(words)
        return len(self.steps) > before

    def sample(self, words: set[str]) -> None:
        """Add the public data set that is named, unless something of the person is called so."""
        option = sample_named(words, self.registry, self.facts)
        if option is not None:
            self.steps.append(Step(block="sample_data", config={"name": option}))

    def names_source(self, clause: Clause) -> bool:
        """Whether a clause names a file by its stem."""
        words = {t.text for t in clause if t.kind == "word"}
        if words & {"sample", "example"}:
            return False
        return any(stem_of(file.path) in words for file in self.facts.files)

    def has_config(self, key: str, value: str) -> bool:
        """Whether a step has this in its configuration."""
        return any(step.config.get(key) == value for step in self.steps)


def sample_named(words: set[str], registry: Registry, facts: Facts) -> str | None:
    """The public data set that words name, unless something of the person is called so.

    Args:
        words: What is said.
        registry: The blocks.
        facts: What the person has.
    """
    block = registry.find("sample_data")
    if block is None:
        return None
    properties = cast("Mapping[str, Mapping[str, Any]]", block.config_schema["properties"])
    options = cast("list[str]", properties["name"]["enum"])
    wanted = bool(words & {"sample", "example"})
    mine = {stem_of(file.path) for file in facts.files}
    for option in options:
        said = set(option.split("_")) <= words or option.rstrip("s") in words
        if said and (wanted or option not in mine):
            return option
    return None
