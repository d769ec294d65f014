# The controller as a static binary in an image of its own. It needs the engine's socket, its state directory, the
# manifests, and the host's network so that its probes reach every container:
#
#   docker run -d --name evenkeel --network host --restart unless-stopped \
#     -v /var/run/docker.sock:/var/run/docker.sock -v /var/lib/evenkeel:/var/lib/evenkeel \
#     -v /run/evenkeel:/run/evenkeel -v /srv/manifests:/srv/manifests:ro evenkeel run --source /srv/manifests
#
# The state directory must have the same path in the container as on the host: rendered files are mounted from it.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN make build && cp target/*/release/evenkeel /evenkeel

FROM scratch
COPY --from=build /evenkeel /evenkeel
ENTRYPOINT ["/evenkeel"]
CMD ["run"]
