# One image for the code server, webserver, daemon, auth service and migrations of docker-compose.yml.
ARG BASE=python:3.11-slim
FROM ${BASE}

ENV PYTHONUNBUFFERED=1 \
    CONSTELLATION_HOME=/var/lib/constellation \
    DAGSTER_HOME=/var/lib/constellation/dagster
WORKDIR /app

# The lock as constraints: its versions and hashes, of the packages that the platform itself needs.
RUN pip install --no-cache-dir uv
COPY requirements.lock pyproject.toml README.md LICENSE dagster.yaml workspace.yaml ./
COPY supabase ./supabase
COPY constellation_dagster ./constellation_dagster
RUN uv pip install --system --no-cache --compile-bytecode --constraint requirements.lock . \
 && sed 's/127\.0\.0\.1/code-server/' workspace.yaml > workspace.compose.yaml \
 && useradd --system --uid 10001 --home-dir /var/lib/constellation constellation \
 && mkdir -p /var/lib/constellation/dagster \
 && chown -R constellation /var/lib/constellation
USER constellation
