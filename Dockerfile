# dal in a container: deps -> build -> test -> sdk.
#
#   docker build -t dal-sdk .                    everything; the sdk holds only what passed its tests
#   docker build --target test .                 the unit tests and the SQLite conformance suite
#   docker build --build-arg BASE=debian:12 .    on another Debian or a derivative
#
# Build your service with `FROM dal-sdk`: compilers, client libraries, headers, archives and dalctl are in it.
# Where containers have no network of their own, add --network=host.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS deps
COPY .ci/packages /tmp/packages
RUN /tmp/packages unit && rm -rf /tmp/packages /var/lib/apt/lists/*

FROM deps AS build
COPY . /src
WORKDIR /src
# The examples are programs to read and run, no part of the sdk.
RUN cmake --preset release -DDAL_BUILD_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX=/usr/local \
 && cmake --build --preset release

FROM build AS test
RUN ctest --test-dir build/release --output-on-failure --no-tests=error --timeout 300 -L '^unit$' \
 && ctest --test-dir build/release --output-on-failure --no-tests=error --timeout 300 \
          -L '^conformance$' -R '_(fake|sqlite)$' \
 && DESTDIR=/out cmake --install build/release

FROM deps AS sdk
COPY --from=test /out/ /
