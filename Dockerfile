# syntax=docker/dockerfile:1
# One image for every service: `relatieboek serve NAME`.

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/relatieboek
WORKDIR /src
# Dependencies first: this layer changes only with the lock.
COPY requirements.lock requirements-pkcs11.lock ./
RUN /opt/relatieboek/bin/pip install --require-hashes -r requirements.lock
# --build-arg PKCS11=1: what a token of a hardware module or KMS is spoken to with; its library is the vendor's.
ARG PKCS11=
RUN test -z "$PKCS11" || /opt/relatieboek/bin/pip install --require-hashes -r requirements-pkcs11.lock
COPY pyproject.toml ./
COPY events events
COPY projections projections
COPY services services
COPY migrations migrations
RUN /opt/relatieboek/bin/pip install --no-deps --no-build-isolation --no-index . \
 && /opt/relatieboek/bin/pip uninstall --yes setuptools pip

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin relatieboek \
 && install --directory --owner relatieboek --group relatieboek --mode 0700 /data /intake
COPY --from=build /opt/relatieboek /opt/relatieboek
ENV PATH=/opt/relatieboek/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RELATIEBOEK_DATA_DIR=/data \
    RELATIEBOEK_HOST=0.0.0.0 \
    RELATIEBOEK_HTTP_PORT=8081 \
    RELATIEBOEK_LOG_JSON=true
USER 10001:10001
WORKDIR /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/readyz', timeout=4)"]
ENTRYPOINT ["relatieboek"]
CMD ["serve", "--list"]
