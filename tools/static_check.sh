#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# static_check.sh BINARY - it needs no library and no interpreter, and it runs.
set -u

kind=$(file -b "$1")
if [[ $kind != *"statically linked"* && $kind != *"static-pie linked"* ]]; then
	echo "check-static: $1 is not static: $kind" >&2
	exit 1
fi
version=$("$1" --version) || exit 1
echo "check-static: $(stat -c %s "$1") bytes, $version"
