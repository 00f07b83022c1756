"""`constellation chat` and `draft` as a person uses them, on a running stack."""

import re
import subprocess

import pytest

from tests.end_to_end.person import new_name
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

REQUEST = (
    "Load the penguins sample data, drop incomplete rows and keep only the columns species and "
    "island."
)
NOBODYS = "00000000-0000-0000-0000-000000000000"
ID = r"[0-9a-f-]{36}"


def told(result: subprocess.CompletedProcess[str]) -> str:
    """What a command said that did what it was asked."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """What a command said that refused."""
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "Traceback" not in said
    return said


def draft_in(said: str) -> str:
    """The id of the draft that `chat` prints."""
    found = re.search(rf"^Draft ({ID})$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


@pytest.fixture(scope="module")
def chatted(stack: RunningStack) -> subprocess.CompletedProcess[str]:
    """A first message, answered."""
    return stack.run("chat", REQUEST)


def test_a_chat_streams_and_ends_with_a_draft(
    stack: RunningStack, chatted: subprocess.CompletedProcess[str]
) -> None:
    draft = draft_in(told(chatted))
    assert "Planning.\nChecking the plan.\n" in chatted.stderr
    assert f"constellation draft approve {draft}" in chatted.stderr
    # The reply is there once, streamed or not.
    reply = chatted.stdout.split("\n\nDraft ")[0].strip()
    assert reply
    assert chatted.stdout.count(reply) == 1
    shown = told(stack.run("draft", "show", draft))
    assert "ready, by the embedded planner" in shown
    assert "block: sample_data" in shown
    assert draft in told(stack.run("draft", "list", "--status", "ready"))
    assert "\n+  - id: sample_data\n" in told(stack.run("draft", "diff", draft))


def test_a_conversation_goes_on_without_a_stream(
    stack: RunningStack, chatted: subprocess.CompletedProcess[str]
) -> None:
    found = re.search(rf"--conversation ({ID})", chatted.stderr)
    assert found is not None
    nowhere = "redis://127.0.0.1:1/0"
    again = stack.run("chat", REQUEST, "--conversation", found[1], REDIS_URL=nowhere)
    assert draft_in(told(again)) != draft_in(chatted.stdout)
    assert "Planning." not in again.stderr


def test_an_approved_draft_runs(stack: RunningStack) -> None:
    draft, name = draft_in(told(stack.run("chat", REQUEST))), new_name("spoken")
    said = told(stack.run("draft", "approve", draft, "--name", name, "--wait"))
    assert said.startswith(f"{name}: published")
    assert "succeeded" in told(stack.run("pipeline", "run", name, "--wait"))
    assert draft in told(stack.run("draft", "list", "--status", "approved"))
    assert "is approved" in refused(stack.run("draft", "reject", draft))


def test_a_rejected_draft_keeps_its_reason(stack: RunningStack) -> None:
    draft = draft_in(told(stack.run("chat", REQUEST)))
    told(stack.run("draft", "reject", draft, "--reason", "no chart, please"))
    assert "rejected: no chart, please" in told(stack.run("draft", "show", draft))
    assert "rejected" in refused(stack.run("draft", "approve", draft))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chat", "hello", "--conversation", NOBODYS), "there is no conversation"),
        (("chat", "hello", "--conversation", "mine"), "'mine' is not the id of a conversation"),
        (("chat", "  "), "1 to 20000 characters"),
        (("draft", "show", NOBODYS), "There is no draft"),
        (("draft", "diff", "mine"), "'mine' is not the id of a draft"),
        (("draft", "approve", NOBODYS), "there is no draft"),
        (("draft", "reject", NOBODYS), "there is no draft"),
    ],
)
def test_mistakes_are_told(stack: RunningStack, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(stack.run(*arguments))
