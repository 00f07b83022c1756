"""Takes secrets out of what is sent to a language model and of what is kept of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

HIDDEN = "[secret]"
_NAMES = (
    r"password|passwd|passphrase|pwd|secret|credential|api[_ -]?key|access[_ -]?key|account[_-]?key"
    r"|private[_ -]?key|(?:auth|access|refresh|session|bearer)[_ -]?token|\btoken|signature|\bsig"
)
_NAMED = re.compile(rf"(?:{_NAMES})\Z", re.IGNORECASE)
# In each pattern, the group `secret` is taken out, or all of it where there is no such group.
_PATTERNS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (
            (
                r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[^\"]*?"
                r"(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|(?=\")|\Z)"
            ),
            0,
        ),
        # JSON Web Tokens, then keys whose makers gave them a beginning to be known by.
        (r"\beyJ[\w-]{8,}\.[\w-]{6,}(?:\.[\w-]*)?", 0),
        (r"\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b", 0),
        (r"\b(?:sk|pk|rk)[-_][\w-]{16,}", 0),
        (
            r"\b(?:gh[pousr]_|github_pat_|glpat-|npm_|hf_|pypi-|dop_v1_|sb_secret_|sbp_)\w[\w-]{15,}",
            0,
        ),
        (r"\bxox[abeoprs]-[\w-]{10,}", 0),
        (r"\bAIza[\w-]{30,}", 0),
        (r"\b(?:bearer|basic)\s+(?P<secret>(?!\[secret)[\w.~+/-]{12,}=*)", re.IGNORECASE),
        # The password of an address: scheme://name:password@host.
        (r"\b[a-z][\w+.-]*://[^\s/:@\"'\\]*:(?P<secret>(?!\[secret)[^\s/@\"'\\]+)@", re.IGNORECASE),
        (
            (
                rf"(?:{_NAMES})[\w-]*\\?[\"']?\s*[=:]\s*\\?[\"']?"
                r"(?P<secret>(?!\[secret|bearer\b|basic\b)[^\s\"'\\&;,<>(){}]{4,})"
            ),
            re.IGNORECASE,
        ),
        (
            (
                r"\b(?:password|passphrase|api key|token) is:?\s+\\?[\"']?"
                r"(?!\[secret|not\b|null\b|none\b|missing\b|empty\b|true\b|false\b|the\b|an?\b)"
                r"(?P<secret>[^\s\"'\\&;,<>(){}]{4,})"
            ),
            re.IGNORECASE,
        ),
    )
)


@dataclass
class Secrets:
    """The secrets of one exchange: a text is sent with a stand-in for each.

    A pipeline that reads `https://me:hunter2@host/a.csv` can be planned without the model ever
    seeing the password: what it answers has the stand-in, and `restore` puts the secret back.
    """

    found: dict[str, str] = field(default_factory=dict[str, str])
    """Secrets by their stand-ins."""

    def hide(self, text: str) -> str:
        """The text with a stand-in for each secret; what is hidden already stays as it is."""
        for pattern in _PATTERNS:
            text = pattern.sub(self._stand_in, text)
        return text

    def restore(self, value: Any) -> Any:
        """A JSON value with the secrets in the places of their stand-ins."""
        if isinstance(value, str):
            for name, secret in self.found.items():
                value = value.replace(name, secret)
            return value
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {key: self.restore(item) for key, item in items}
        if isinstance(value, list | tuple):
            return [self.restore(item) for item in cast("Sequence[Any]", value)]
        return value

    def _stand_in(self, match: re.Match[str]) -> str:
        group = "secret" if "secret" in match.groupdict() else 0
        secret = match[group]
        name = next((name for name, known in self.found.items() if known == secret), None)
        if name is None:
            name = f"[secret-{len(self.found) + 1}]"
            self.found[name] = secret
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:start] + name + match[0][end:]


def redact(value: Any) -> Any:
    """A JSON value as it may be kept: no text in it holds a secret that could be told as one.

    Args:
        value: Texts, lists and objects; what has a name such as `api_key` is hidden altogether.
    """
    if isinstance(value, str):
        return _redacted(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {
            _redacted(key): HIDDEN
            if isinstance(item, str) and item and _NAMED.search(key)
            else redact(item)
            for key, item in items
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in cast("Sequence[Any]", value)]
    return value


def _redacted(text: str) -> str:
    secrets = Secrets()
    text = secrets.hide(text)
    for name in secrets.found:
        text = text.replace(name, HIDDEN)
    return text
