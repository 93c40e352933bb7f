# Two images from one file: `gate` (the default) runs the sidecar, `demo` also carries the
# OpenTelemetry SDK for the demo services. Everything installed is locked by hash. Both carry the
# compiled form of the package; the compiler stays in the build stage.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/ requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt \
    && python -m venv /opt/tapeline \
    && /opt/tapeline/bin/pip install --require-hashes --requirement requirements/runtime.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY processors/ processors/
RUN HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 \
        /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/tapeline/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/tapeline/bin/tapeline version | grep --fixed-strings '(compiled)'

FROM build AS build-demo
RUN /opt/tapeline/bin/pip install --require-hashes --requirement requirements/demo.txt

FROM python:3.11.14-slim-bookworm AS base
# A named volume takes its owner and mode from the folder of the image that it is first mounted on,
# so the `volumes` service of docker-compose.yml mounts all of them here, and nothing runs as root.
RUN groupadd --gid 10001 tapeline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/tapeline \
        --shell /usr/sbin/nologin tapeline \
    && install --directory --mode 0700 --owner 10001 --group 10001 \
        /var/lib/tapeline /var/lib/tapeline/queue /var/lib/tapeline/log-files \
        /var/lib/tapeline/prometheus /var/lib/tapeline/loki /var/lib/tapeline/jaeger \
        /var/lib/tapeline/grafana /var/lib/tapeline/state /var/lib/tapeline/signals \
        /var/lib/tapeline/alertmanager
ENV PATH=/opt/tapeline/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY config/gate.yaml config/signals.yaml /etc/tapeline/
WORKDIR /var/lib/tapeline
USER 10001:10001
ENTRYPOINT ["tapeline"]
CMD ["serve", "--config", "/etc/tapeline/gate.yaml"]

FROM base AS demo
COPY --from=build-demo /opt/tapeline /opt/tapeline
CMD ["demo", "services"]

FROM base AS gate
COPY --from=build /opt/tapeline /opt/tapeline
