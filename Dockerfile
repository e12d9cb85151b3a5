# The broker as one static file in an otherwise empty image, run by a user without rights.
#
#   docker build -t broker .
#   docker run -p 127.0.0.1:8080-8083:8080-8083 broker dev --container     local upstreams and a demo app, nothing to set up
#   docker run -p 127.0.0.1:8080:8080 -v broker-data:/data broker serve    with the settings of your installation

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/broker ./cmd/broker \
    && mkdir -p /out/data /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/broker /usr/local/bin/broker
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/data /data
# The store and the folder of `dev` live on the volume: below the user's cache, which is here.
ENV XDG_CACHE_HOME=/data PATH=/usr/local/bin
WORKDIR /data
VOLUME /data
USER 65532:65532
# 8080 the broker, 8081 the demo app, 8082 and 8083 the local GitHub and Google; `serve` uses the first alone.
EXPOSE 8080 8081 8082 8083
ENTRYPOINT ["/usr/local/bin/broker"]
