# docker build -t curate . && docker run --rm -v "$PWD:/data" curate run manifest.yaml
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl && rm -r /wheels \
    && useradd --create-home --uid 1000 curate && mkdir /data && chown curate /data
USER curate
WORKDIR /data
ENTRYPOINT ["curate"]
CMD ["--help"]
