# syntagma with the demo model, on CPU:
#   docker build -t syntagma .
#   docker run -p 8000:8000 syntagma
# Another model: a name or a mounted folder, as SYNTAGMA_MODEL or as the first argument.
#   docker run -p 8000:8000 -e SYNTAGMA_MODEL=/model -v /path/to/model:/model:ro syntagma
# A GPU: build with TORCH_INDEX_URL=https://download.pytorch.org/whl/cu130, run with --gpus all.

ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS dependencies
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir \
        --index-url "${TORCH_INDEX_URL}" -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
# Installed with empty packages and removed again, so that only what it requires stays: this layer
# is built anew when the requirements change, not when the code does.
RUN mkdir grammar decoding server clients \
    && pip --python /opt/venv/bin/python install --no-cache-dir -c constraints.txt ".[server]" \
    && pip --python /opt/venv/bin/python uninstall --yes syntagma

FROM python:${PYTHON_VERSION}-slim-bookworm AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:${PYTHON_VERSION}-slim-bookworm
RUN useradd --create-home --uid 10001 --user-group syntagma \
    && install -d -o syntagma -g syntagma /var/cache/numba \
        /home/syntagma/.cache /home/syntagma/.cache/huggingface
COPY --from=dependencies /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/numba \
    SYNTAGMA_HOST=0.0.0.0 \
    SYNTAGMA_PORT=8000
# Image layers keep whole seconds only. numba compares modification times with their fractions and
# would find its cache stale, so the sources get a whole second before the kernels are compiled.
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --no-compile /dist/*.whl \
    && find /opt/venv/lib -path '*/site-packages/syntagma/*' -exec touch -d 2020-01-01 {} + \
    && python -m compileall -q /opt/venv/lib/python3*/site-packages/syntagma \
    && python -c "from syntagma.grammar.warm_up import warm_kernels; warm_kernels(); from syntagma.decoding.draft_warm_up import warm_draft_kernels; warm_draft_kernels()" \
    && chown -R syntagma:syntagma /var/cache/numba
USER 10001:10001
WORKDIR /home/syntagma
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"SYNTAGMA_PORT\"]}/health', timeout=4)"]
ENTRYPOINT ["syntagma", "serve"]
