#!/bin/sh
# hemvital-gateway: the command of the release in use, as the gateway's own user whoever calls it.
set -eu
program=/opt/hemvital-gateway/current/bin/hemvital-gateway
if [ ! -x "$program" ]; then
    echo "hemvital-gateway: no release is in use; install the package again" >&2
    exit 1
fi
export HEMVITAL_GATEWAY_FILE="${HEMVITAL_GATEWAY_FILE:-/var/lib/hemvital-gateway/identity/settings.toml}"
if [ "$(id -u)" != 0 ]; then
    exec "$program" "$@"
fi

# Root would leave files that the service cannot read: keys, the journal's write-ahead log.
as_gateway() {
    setpriv --reuid=hemvital-gateway --regid=hemvital-gateway --init-groups \
        --no-new-privs --inh-caps=-all --reset-env \
        env "HEMVITAL_GATEWAY_FILE=$HEMVITAL_GATEWAY_FILE" "LANG=${LANG:-C.UTF-8}" "$program" "$@"
}
cd /
as_gateway "$@"
# Until now the service had nothing to start with, or another certificate.
if [ "${1:-}" = enrol ] && [ -d /run/systemd/system ]; then
    systemctl restart hemvital-gateway.service
fi
