# One image for server, worker and pages (compose.yaml). It holds a checkout, since deployments name files of it.
FROM python:3.11-slim
RUN useradd --create-home curette && install -d -o curette -g curette -m 700 /store
WORKDIR /app
ENV PATH=/opt/curette/bin:$PATH CURETTE_STORE=/store
# The libraries, and a link to /app: made anew where the lock changes, not with every line of source. Compiled
# here, since the user may not write beside them.
COPY pyproject.toml uv.lock ./
COPY curette curette
RUN --mount=type=cache,target=/root/.cache touch README.md && pip install --root-user-action ignore uv \
    && UV_PROJECT_ENVIRONMENT=/opt/curette UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
    uv sync --frozen --no-dev --extra s3 && pip uninstall --root-user-action ignore --yes uv
COPY . .
RUN python -m compileall -q .
USER curette
