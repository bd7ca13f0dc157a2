#!/bin/sh
# Writes deploy/images.env: every image of deploy/images.txt by its digest, as the registry has it now. Look at
# what changed, and commit the file: from then on everybody builds on the same bytes.
# Needs skopeo, or docker with buildx. PIN_OPTIONS are given to skopeo.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
images=${1:-$here/images.txt}
pins=${2:-$here/images.env}

digest_of() {
    if command -v skopeo >/dev/null; then
        # shellcheck disable=SC2086  # several options
        skopeo inspect ${PIN_OPTIONS:-} --no-tags --format '{{.Digest}}' "docker://$1"
    else
        docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
    fi
}

fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
while read -r name image; do
    case $name in '' | '#'*) continue ;; esac
    digest=$(digest_of "$image")
    case $digest in
        sha256:????????????????????????????????????????????????????????????????) ;;
        *) echo "no digest of $image: ${digest:-nothing was answered}" >&2 && exit 1 ;;
    esac
    echo "$name=$image@$digest" >>"$fresh"
done <"$images"
cp "$fresh" "$pins"
chmod 644 "$pins"
cat "$pins"
