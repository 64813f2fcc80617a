# One image for server, worker and pages (compose.yaml). It holds a checkout, since deployments name files of it.
FROM python:3.11-slim
RUN pip install --no-cache-dir uv
ENV UV_PROJECT_ENVIRONMENT=/opt/curette UV_LINK_MODE=copy PATH=/opt/curette/bin:$PATH \
    PREFECT_HOME=/home/curette/.prefect PYTHONPATH=/app
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-cache --no-install-project --extra s3
COPY . .
RUN useradd --create-home curette && install -d -o curette -g curette -m 700 /store
USER curette
