# One image with both programs; manifests/ chooses between them by command.
#
#   make image IMG=REF
#
# Both base images are arguments, for those who mirror them. A mirror knows the digest
# of its copy: give GO_IMAGE by that. The version is the one that releases are built with.
ARG GO_IMAGE=golang:1.26.8
# The programs are static and need nothing but root certificates, so the final
# image is built up from nothing. A distroless one (static:nonroot) from the
# registry that you trust does as well; it has no shell either.
ARG BASE_IMAGE=scratch

FROM ${GO_IMAGE} AS build
WORKDIR /src
ENV GOMODCACHE=/cache/mod GOCACHE=/cache/build

# Modules change less often than sources: this layer outlives most builds.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/cache/mod go mod download

COPY auditor auditor
COPY certs certs
COPY cmd cmd
COPY internal internal
COPY webhook webhook

ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/cache/mod --mount=type=cache,target=/cache/build \
    CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags "-s -w -X github.com/sidecar-drift/sidecar-drift/internal/version.version=${VERSION}" \
    -o /out/ ./cmd/sidecar-drift ./cmd/sidecar-drift-webhook

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG REVISION
LABEL org.opencontainers.image.title="sidecar-drift" \
      org.opencontainers.image.url="https://github.com/sidecar-drift/sidecar-drift" \
      org.opencontainers.image.source="https://github.com/sidecar-drift/sidecar-drift" \
      org.opencontainers.image.documentation="https://github.com/sidecar-drift/sidecar-drift/tree/main/docs" \
      org.opencontainers.image.description="Finds Pods whose injected sidecars are out of date, and rolls them out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/sidecar-drift /out/sidecar-drift-webhook /
# By number, as runAsNonRoot wants it: distroless' nonroot.
USER 65532:65532
ENTRYPOINT ["/sidecar-drift"]
