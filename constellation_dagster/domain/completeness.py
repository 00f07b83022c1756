"""What a pipeline still lacks: questions for what is only missing, problems for what is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.conversations import Question
from constellation_dagster.domain.errors import PipelineInvalid, Problem
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.schemas import PipelineCreateSchema, parse_pipeline


@dataclass(frozen=True)
class Verdict:
    """What there is to say about a pipeline."""

    problems: tuple[Problem, ...]
    questions: tuple[Question, ...]


def judge(spec: Mapping[str, Any], registry: Registry, asked: Iterable[Question] = ()) -> Verdict:
    """Compile a pipeline and sort what is found.

    Args:
        spec: The pipeline, as `PipelineCreateSchema` takes it.
        registry: The blocks.
        asked: Questions that are open already; what they ask for is no problem besides.
    """
    questions = list(asked)
    try:
        pipeline = parse_pipeline(dict(spec))
    except PipelineInvalid as error:
        return Verdict(error.problems, distinct(questions))
    questions.extend(_missing_config(pipeline, registry))
    try:
        compile_pipeline(pipeline, registry)
    except PipelineInvalid as error:
        problems = tuple(p for p in error.problems if not _is_asked(p, questions))
        return Verdict(problems, distinct(questions))
    return Verdict((), distinct(questions))


def distinct(questions: Iterable[Question]) -> tuple[Question, ...]:
    """The questions without those about the same thing; questions about nothing stay apart."""
    seen: dict[object, Question] = {}
    for question in questions:
        about = (question.node, question.key)
        key = about if about != (None, None) else question.text
        seen.setdefault(key, question)
    return tuple(seen.values())


def _missing_config(pipeline: PipelineCreateSchema, registry: Registry) -> Iterable[Question]:
    for node in pipeline.nodes:
        block = registry.find(node.block)
        for key, field in block.config_model.model_fields.items() if block is not None else ():
            if not field.is_required() or key in node.config:
                continue
            means = (field.description or "").rstrip(".")
            words = block_words(node.block)
            which = f" ({words})" if words != node.id.replace("_", " ") else ""
            text = f"What should {key!r} of {node.id!r}{which} be?"
            yield Question(node=node.id, key=key, text=f"{text} {means}." if means else text)


def block_words(ref: str) -> str:
    """A block's name as words: `read_csv@1` is `read csv`."""
    return ref.partition("@")[0].replace("_", " ")


def _is_asked(problem: Problem, questions: Iterable[Question]) -> bool:
    mine = [question for question in questions if question.node == problem.node and question.key]
    if problem.code == "missing_config":
        return any(repr(question.key) in problem.message for question in mine)
    if problem.code == "missing_input":
        return any(question.key == problem.port for question in mine)
    return False
