#!/usr/bin/env bash
# What `cargo bench --bench sftp` measures against: OpenSSH's sshd, installed and not started. Debian and its kin; run as root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends openssh-client openssh-server
# The bench starts a private one on loopback, with its own configuration, host key and port.
mkdir -p /run/sshd
