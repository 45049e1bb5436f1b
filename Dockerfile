# Two images from one file:
#   docker build --target cpu  -t finestra:cpu  --build-arg TORCH_INDEX_URL=... .
#   docker build --target cuda -t finestra:cuda .
# docs/docker.md has the build arguments, and how to run them.

# For builds that repeat to the digit: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# The wheel: packages, starter model, sample data and recipes in one file.
FROM ${PYTHON_IMAGE} AS wheel
ARG PIP_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
COPY trainer ./trainer
COPY data ./data
COPY templates ./templates
COPY assets/starter ./assets/starter
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# What the wheel needs; torch first, because it is the largest part and changes least.
FROM ${PYTHON_IMAGE} AS packages
ARG PIP_INDEX_URL=""
ARG TORCH_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/finestra \
    && PIP_INDEX_URL="${TORCH_INDEX_URL:-$PIP_INDEX_URL}" \
       /opt/finestra/bin/pip install --constraint constraints.txt torch
COPY --from=wheel /wheel /wheel
RUN wheel="$(ls /wheel/*.whl)" \
    && /opt/finestra/bin/pip install --constraint constraints.txt "${wheel}[data,export,optim,rewards,structured,swanlab]"

# What both images stand on: a user without rights, one volume, a health check.
FROM ${PYTHON_IMAGE} AS base
# tini reaps what supervisors leave behind; libgomp1 is what bitsandbytes computes with on a CPU.
# Versions are those of the base image's Debian, which its digest pins.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 finestra \
    && useradd --uid 10001 --gid finestra --create-home --shell /usr/sbin/nologin finestra \
    && install --directory --owner=finestra --group=finestra --mode=0700 /data
ENV FINESTRA_HOME=/data \
    PATH=/opt/finestra/bin:$PATH \
    PYTHONUNBUFFERED=1
VOLUME ["/data"]
EXPOSE 7860
WORKDIR /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/api/health', timeout=4)"]
USER 10001:10001
# The address is not loopback, so `serve` makes a random token and prints it once.
ENTRYPOINT ["tini", "--", "finestra"]
CMD ["serve", "--host", "0.0.0.0", "--port", "7860"]

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=packages /opt/finestra /opt/finestra

FROM base AS cpu
COPY --from=packages /opt/finestra /opt/finestra
RUN python -c "import torch, sys; sys.exit(torch.version.cuda and 'This torch is the CUDA build: pass TORCH_INDEX_URL, see docs/docker.md.')"
