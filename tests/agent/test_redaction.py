"""Secrets are taken out of what is sent and kept."""

import json

import pytest

from constellation_dagster.agent.redaction import HIDDEN, Secrets, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZw"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc+/=\n-----END RSA PRIVATE KEY-----"

SECRET = [
    (f"the token {JWT} is mine", JWT),
    ("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    ("use sk-proj-abcdefghij0123456789 for it", "sk-proj-abcdefghij0123456789"),
    ("ghp_abcdefghij0123456789abcdefghij", "ghp_abcdefghij"),
    ("xoxb-123456789012-abcdefghij", "xoxb-123456789012"),
    ("Authorization: Bearer abcdef.ghijkl.mnopqr", "abcdef.ghijkl.mnopqr"),
    ("read https://me:hunter2@example.org/a.csv", "hunter2"),
    ("postgresql://app:p%40ss@db:5432/x", "p%40ss"),
    ("host=db password=correct-horse user=me", "correct-horse"),
    ("PGPASSWORD='tr0ub4dor'", "tr0ub4dor"),
    ('{"api_key": "0123456789abcdef"}', "0123456789abcdef"),
    (json.dumps({"text": '{"client_secret": "s3cr3t-value"}'}), "s3cr3t-value"),
    ("https://b.example.org/x?X-Amz-Signature=deadbeefdeadbeef&y=1", "deadbeefdeadbeef"),
    ("my password is hunter22, remember it", "hunter22"),
    (KEY, "MIIEowIBAAKCAQEA"),
    (KEY[:60], "MIIEow"),
    (json.dumps(KEY), "MIIEowIBAAKCAQEA"),
]
PLAIN = [
    "load sales.csv, drop incomplete rows, train a classifier on churn and chart the result",
    "keep the rows where token_count > 100 and region == 'north'",
    "write it to s3://bucket/keys/monkey.csv every day at 6:30",
    "fetch https://api.example.org/stations?page=2",
    "count the tokens of notes.txt and remove rows where password is missing",
    "upsert orders.csv with order_id as the key",
    "skim the data and ask Basically everyone at me@example.org",
]


@pytest.mark.parametrize(("text", "secret"), SECRET)
def test_a_secret_is_hidden_and_put_back(text: str, secret: str) -> None:
    secrets = Secrets()
    hidden = secrets.hide(text)
    assert secret not in hidden
    assert secrets.restore(hidden) == text
    assert secret not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize(("text", "secret"), SECRET)
def test_what_is_hidden_is_not_hidden_again(text: str, secret: str) -> None:
    secrets = Secrets()
    once = secrets.hide(text)
    assert secrets.hide(once) == once
    assert redact(redact(text)) == redact(text)
    del secret


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Secrets().hide(text) == text


def test_the_same_secret_has_one_stand_in() -> None:
    secrets = Secrets()
    first = secrets.hide("https://me:hunter2@a.org/x and https://me:hunter2@a.org/y")
    assert first == "https://me:[secret-1]@a.org/x and https://me:[secret-1]@a.org/y"
    assert secrets.hide("password=other") == "password=[secret-2]"
    assert secrets.restore({"url": ["https://me:[secret-1]@a.org/x"], "rows": 3}) == {
        "url": ["https://me:hunter2@a.org/x"],
        "rows": 3,
    }


def test_what_is_named_as_a_secret_is_hidden() -> None:
    kept = redact({"api_key": "short", "max_tokens": 10, "messages": [{"content": "token=abcdef"}]})
    assert kept == {
        "api_key": HIDDEN,
        "max_tokens": 10,
        "messages": [{"content": f"token={HIDDEN}"}],
    }
