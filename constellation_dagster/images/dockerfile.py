"""The Dockerfile of a model, written so that a person can read it, keep it and build with it.

It keeps to what the engine's own builder knows, so that it needs no BuildKit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constellation_dagster.images.wheels import LOCK

PORT = 8000
# An account with a number only: nothing in an image has to know its name.
USER = "10001:10001"

PACKAGE_LABEL = "org.constellation.package"
DIGEST_LABEL = "org.constellation.package.digest"

_READY = (
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', {port}, timeout=5); "
    "c.request('GET', '/v2/health/ready'); raise SystemExit(c.getresponse().status != 200)"
)

_DEPENDENCIES = """\
# Everything that is needed to install is in this folder, and no network is used.
FROM {base} AS dependencies
COPY finish.py {lock} wheels /build/
RUN python3 -m venv --without-pip /opt/model \\
 && /opt/model/bin/python /build/{pip}/pip install --quiet --no-cache-dir --no-compile \\
      --no-index --find-links /build --no-deps --require-hashes --requirement /build/{lock} \\
 && PYTHONHASHSEED=0 python3 /build/finish.py /opt/model
"""

_MODEL = """\
# Model {name}, version {version}. By hand: docker build --tag {name}:{version} .

{dependencies}
FROM {base} AS server
COPY finish.py /build/
COPY server /opt/server
RUN PYTHONHASHSEED=0 python3 /build/finish.py /opt/server

FROM {base}
ENV PATH=/opt/model/bin:$PATH PYTHONPATH=/opt/server PYTHONUNBUFFERED=1
USER {user}
EXPOSE {port}
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 \\
  CMD {health}
COPY --from=dependencies /finished /
COPY --from=server /finished /
# What changes with every version of a model comes last, so that nothing else is made again.
COPY package /
ENTRYPOINT {entrypoint}
CMD {command}
LABEL {labels}
"""

_ENVIRONMENT = """\
# Packages that blocks need: {requirements}.

{dependencies}
FROM {base}
ENV PATH=/opt/model/bin:$PATH PYTHONUNBUFFERED=1
USER {user}
COPY --from=dependencies /finished /
"""


@dataclass(frozen=True)
class ModelImage:
    """What a model's Dockerfile says.

    Attributes:
        name: The package's name.
        version: Its version.
        digest: Its digest, which the server checks at every start.
        base: The base image.
        pip: File name of pip's wheel.
    """

    name: str
    version: str
    digest: str
    base: str
    pip: str

    def labels(self) -> Mapping[str, str]:
        """What the image says of itself."""
        return {
            "org.opencontainers.image.title": self.name,
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.base.name": self.base,
            PACKAGE_LABEL: f"{self.name}@{self.version}",
            DIGEST_LABEL: self.digest,
        }

    def dockerfile(self) -> str:
        """The whole text."""
        server = [
            "python",
            "-m",
            "constellation_dagster.serving",
            "/model",
            "--digest",
            self.digest,
        ]
        labels = " \\\n      ".join(
            f"{name}={json.dumps(value)}" for name, value in self.labels().items()
        )
        return _MODEL.format(
            name=self.name,
            version=self.version,
            base=self.base,
            dependencies=_dependencies(self.base, self.pip),
            user=USER,
            port=PORT,
            health=json.dumps(["python", "-I", "-S", "-c", _READY.format(port=PORT)]),
            entrypoint=json.dumps([*server, "--host", "0.0.0.0", "--port", str(PORT)]),  # noqa: S104
            command=json.dumps(["--name", self.name, "--version", self.version]),
            labels=labels,
        )


def environment_dockerfile(requirements: Sequence[str], base: str, pip: str) -> str:
    """The Dockerfile of what blocks run in; their code is lent to it when it runs."""
    return _ENVIRONMENT.format(
        requirements=", ".join(requirements),
        dependencies=_dependencies(base, pip),
        base=base,
        user=USER,
    )


def _dependencies(base: str, pip: str) -> str:
    return _DEPENDENCIES.format(base=base, lock=LOCK, pip=pip)
