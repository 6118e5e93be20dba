#!/usr/bin/env bash
# Builds the image without Docker: deploy/image/build.sh <name:tag> <archive.tar>. Needs buildah, and Node with npm for the context.
set -euo pipefail
name=${1:?name:tag} archive=${2:?archive.tar}
here=$(cd "$(dirname "$0")" && pwd)
context=$(mktemp -d)/context
trap 'rm -rf "$(dirname "$context")"' EXIT
# As in a container: no user namespaces and no overlay are needed.
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
PATH="$here/../../node_modules/.bin:$PATH" node "$here/stage.mjs" "$context"
buildah build --quiet --file "$context/Dockerfile" --tag "$name" "$context" >/dev/null
rm -f "$archive"
buildah push --quiet "$name" "docker-archive:$archive:$name"
