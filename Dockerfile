# The server alone: the runtime, the native engine and the extra "serve", without PyTorch.
#   docker build -t seriatim .
#   docker run -p 8000:8000 -e SERIATIM_API_KEY=… -v ./exported:/model:ro -v sessions:/sessions seriatim
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml CMakeLists.txt constraints.txt README.md LICENSE ./
COPY native native
COPY src src
RUN PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
    pip install --no-cache-dir --prefix=/installed '.[serve]'

FROM python:3.12-slim
COPY --from=build /installed /usr/local
RUN useradd --system --uid 10001 --create-home seriatim && install -d -o seriatim -g seriatim /sessions
USER seriatim
# Inside a container every address is reached from outside, so SERIATIM_API_KEY is required.
ENV SERIATIM_HOST=0.0.0.0 SERIATIM_PORT=8000 SERIATIM_STATE=/sessions/sessions.db PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
VOLUME /sessions
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['SERIATIM_PORT']}/readyz\", timeout=4)"]
ENTRYPOINT ["seriatim", "serve", "/model"]
