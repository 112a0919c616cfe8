# syntagma on vLLM, for CUDA:
#   docker build -f deploy/vllm.Dockerfile -t syntagma-vllm .
#   docker run --gpus all -p 8000:8000 syntagma-vllm Qwen/Qwen3-8B --tensor-parallel-size 2
# The project has no CUDA device to try this on; docs/vllm.md says what was run.

FROM vllm/vllm-openai:v0.32.0
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY grammar grammar
COPY decoding decoding
COPY server server
COPY clients clients
RUN pip install --no-cache-dir '.[vllm]' \
    && python3 -c "from syntagma.grammar.warm_up import warm_kernels; warm_kernels()"
ENV PYTHONUNBUFFERED=1 \
    SYNTAGMA_ENGINE=vllm \
    SYNTAGMA_HOST=0.0.0.0 \
    SYNTAGMA_PORT=8000
EXPOSE 8000
ENTRYPOINT ["syntagma", "serve"]
