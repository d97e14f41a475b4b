#!/usr/bin/env bash
# Whether the real cosign verifies what we sign, and we what it signs, with keys and without any network: against-cosign.sh
# cosign is taken from PATH or COSIGN, else built by Go, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v2.6.5
work=$(mktemp -d)
cosign=${COSIGN:-$(command -v cosign || true)}
if [ -z "$cosign" ]; then
    GOBIN="$work" GOFLAGS=-modcacherw go install "github.com/sigstore/cosign/v2/cmd/cosign@$version"
    cosign="$work/cosign"
fi
target="$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
plimsoll="$target/${PROFILE:-release}/plimsoll"
export HOME="$work/home" PLIMSOLL_STATE_DIR="$work/state" PLIMSOLL_ACTOR=ada COSIGN_PASSWORD="" PYTHONDONTWRITEBYTECODE=1
# A proxy that leads nowhere: whoever asks the network fails.
export HTTPS_PROXY=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9 NO_PROXY=127.0.0.1
trap 'cd /; "$plimsoll" down --purge >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir -p "$work/home" "$work/app"
cd "$work/app"

# A release to speak of.
git init --quiet --initial-branch main
git config user.name Ada && git config user.email ada@example.org
cat >app.py <<'PY'
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
PY
cat >plimsoll.yaml <<'YAML'
apiVersion: plimsoll/v1alpha1
name: app
start: exec python3 app.py
limits: {ready: 30s, stepMin: 1s, stepMax: 30s, drain: 1s, verify: 1s}
YAML
git add --all && git commit --quiet -m first
port=$(python3 -c 'import socket; it = socket.socket(); it.bind(("127.0.0.1", 0)); print(it.getsockname()[1])')
"$plimsoll" up --quiet --port "$port"

refuses() {
    if "$@" >"$work/said" 2>&1; then
        echo "this should have been refused: $*" >&2
        cat "$work/said" >&2
        exit 1
    fi
}

"$plimsoll" attest key >"$work/ours.pub"
"$plimsoll" release artifact --quiet --output "$work/app.tar"
"$plimsoll" release provenance >"$work/provenance.json"
"$plimsoll" release sbom >"$work/sbom.json" 2>/dev/null
"$plimsoll" release sbom --signed >"$work/sbom.envelope" 2>/dev/null
"$plimsoll" attest sign "$work/app.tar" >"$work/app.sig"
(cat "$work/app.tar" && echo more) >"$work/other.tar"

offline=(--insecure-ignore-tlog --key "$work/ours.pub")
"$cosign" verify-blob-attestation "${offline[@]}" --type slsaprovenance1 --signature "$work/provenance.json" "$work/app.tar"
refuses "$cosign" verify-blob-attestation "${offline[@]}" --type slsaprovenance1 --signature "$work/provenance.json" "$work/other.tar"
"$cosign" verify-blob-attestation "${offline[@]}" --type cyclonedx --signature "$work/sbom.envelope" "$work/app.tar"
"$cosign" verify-blob "${offline[@]}" --signature "$work/app.sig" "$work/app.tar"
refuses "$cosign" verify-blob "${offline[@]}" --signature "$work/app.sig" "$work/other.tar"
"$plimsoll" attest verify --key "$work/ours.pub" "$work/app.tar" "$work/provenance.json"
echo "cosign verifies our envelopes and our signature, and refuses them for another file"

(cd "$work" && "$cosign" generate-key-pair 2>/dev/null)
# Said in full, for versions 2 and 3 take different things for granted.
sign=(--key "$work/cosign.key" --tlog-upload=false --use-signing-config=false --yes)
alone=(--new-bundle-format=false --output-signature)
bundled=(--new-bundle-format=true --bundle)
"$cosign" sign-blob "${sign[@]}" "${alone[@]}" "$work/theirs.sig" "$work/app.tar" 2>/dev/null
"$cosign" sign-blob "${sign[@]}" "${bundled[@]}" "$work/theirs.bundle" "$work/app.tar" >/dev/null 2>&1
# What it attests is our own predicate, and a bill of materials.
"$plimsoll" release provenance --statement | python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["predicate"], sys.stdout)' >"$work/predicate.json"
attest=("$cosign" attest-blob "${sign[@]}" --type slsaprovenance1 --predicate "$work/predicate.json")
"${attest[@]}" "${alone[@]}" "$work/theirs.envelope" "$work/app.tar" >/dev/null 2>&1
"${attest[@]}" "${bundled[@]}" "$work/theirs.envelope.bundle" "$work/app.tar" >/dev/null 2>&1
"$cosign" attest-blob "${sign[@]}" --type cyclonedx --predicate "$work/sbom.json" "${alone[@]}" "$work/theirs.sbom" "$work/app.tar" >/dev/null 2>&1

for signed in theirs.sig theirs.bundle theirs.envelope theirs.envelope.bundle; do
    "$plimsoll" attest verify --quiet --key "$work/cosign.pub" "$work/app.tar" "$work/$signed" >"$work/said" || { cat "$work/said"; exit 1; }
    refuses "$plimsoll" attest verify --key "$work/cosign.pub" "$work/other.tar" "$work/$signed"
    refuses "$plimsoll" attest verify --key "$work/ours.pub" "$work/app.tar" "$work/$signed"
done
"$plimsoll" attest verify --key "$work/cosign.pub" --type cyclonedx "$work/app.tar" "$work/theirs.sbom"
refuses "$plimsoll" attest verify --key "$work/cosign.pub" "$work/app.tar" "$work/theirs.sbom"
echo "we verify what cosign signed, as signature, envelope and bundle, and refuse it for another file, key or type"

# Images, in a registry on this machine.
registry=127.0.0.1:$(python3 -c 'import socket; it = socket.socket(); it.bind(("127.0.0.1", 0)); print(it.getsockname()[1])')
cat >"$work/registry.yml" <<YAML
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: '$registry'}
YAML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
trap 'cd /; kill '$!' 2>/dev/null || true; "$plimsoll" down --purge >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
timeout 60 sh -c "until curl -sf 'http://$registry/v2/' >/dev/null; do sleep 0.1; done"

# An image of one word, as a layout on disk.
image() {
    python3 - "$work/layouts/$1" "$1" <<'PY'
import hashlib, json, os, sys
folder, word = sys.argv[1:]
os.makedirs(f"{folder}/blobs/sha256")
def blob(kind, content):
    digest = hashlib.sha256(content).hexdigest()
    open(f"{folder}/blobs/sha256/{digest}", "wb").write(content)
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}
config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "author": word})
manifest = {"schemaVersion": 2, "config": blob("config.v1+json", config.encode()), "layers": []}
manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
entry = blob("manifest.v1+json", json.dumps(manifest).encode())
json.dump({"schemaVersion": 2, "manifests": [entry]}, open(f"{folder}/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{folder}/oci-layout", "w"))
PY
}

# What we sign on disk, cosign verifies there and loads into the registry with its signatures.
image ours
"$plimsoll" attest sign --quiet --image "oci:$work/layouts/ours" --annotation env=prod >/dev/null
"$plimsoll" attest attest --quiet --image "oci:$work/layouts/ours" --predicate "$work/sbom.json" --type cyclonedx >/dev/null
"$cosign" verify "${offline[@]}" --local-image "$work/layouts/ours" >/dev/null 2>&1
"$cosign" verify-attestation "${offline[@]}" --local-image --type cyclonedx "$work/layouts/ours" >/dev/null 2>&1
"$cosign" load --dir "$work/layouts/ours" "$registry/ours:1" >/dev/null 2>&1
"$cosign" verify "${offline[@]}" -a env=prod "$registry/ours:1" >/dev/null 2>&1
refuses "$cosign" verify "${offline[@]}" -a env=test "$registry/ours:1"
refuses "$cosign" verify --insecure-ignore-tlog --key "$work/cosign.pub" "$registry/ours:1"

# What we sign in the registry; and what we add to what cosign has signed.
image both
"$cosign" save --dir "$work/saved" "$registry/ours:1" >/dev/null 2>&1
"$plimsoll" attest verify --quiet --key "$work/ours.pub" --image "oci:$work/saved" >/dev/null
"$plimsoll" attest sign --quiet --image "oci:$work/layouts/both" >/dev/null
"$cosign" load --dir "$work/layouts/both" "$registry/both:1" >/dev/null 2>&1
"$cosign" sign "${sign[@]}" --new-bundle-format=false "$registry/both:1" >/dev/null 2>&1
"$plimsoll" attest sign --quiet --image "$registry/both:1" --annotation env=prod >/dev/null
"$plimsoll" attest attest --quiet --image "$registry/both:1" --predicate "$work/sbom.json" --type cyclonedx >/dev/null
"$cosign" verify "${offline[@]}" -a env=prod "$registry/both:1" >/dev/null 2>&1
"$cosign" verify --insecure-ignore-tlog --key "$work/cosign.pub" "$registry/both:1" >/dev/null 2>&1
"$cosign" verify-attestation "${offline[@]}" --type cyclonedx "$registry/both:1" >/dev/null 2>&1
refuses "$cosign" verify-attestation "${offline[@]}" --type spdxjson "$registry/both:1"
echo "cosign verifies the images and statements that we signed, on disk and in a registry, and refuses another key, type or annotation"

# What cosign signs, as a tag and as a bundle.
verifies=("$plimsoll" attest verify --quiet --key "$work/cosign.pub")
for new in false true; do
    # cosign 2 takes annotations with a bundle, and leaves them out of it.
    annotated=(--annotation env=prod)
    if [ "$new" = true ] && "$cosign" version 2>&1 | grep -q '^GitVersion: *v2'; then annotated=(); fi
    image "theirs-$new"
    "$plimsoll" attest sign --quiet --image "oci:$work/layouts/theirs-$new" >/dev/null
    "$cosign" load --dir "$work/layouts/theirs-$new" "$registry/theirs:$new" >/dev/null 2>&1
    refuses "${verifies[@]}" --image "$registry/theirs:$new"
    "$cosign" sign "${sign[@]}" --new-bundle-format=$new -a env=prod "$registry/theirs:$new" >/dev/null 2>&1
    "$cosign" attest "${sign[@]}" --new-bundle-format=$new --type slsaprovenance1 --predicate "$work/predicate.json" "$registry/theirs:$new" >/dev/null 2>&1
    "${verifies[@]}" --image "$registry/theirs:$new" "${annotated[@]}" >"$work/said" || { cat "$work/said"; exit 1; }
    "${verifies[@]}" --image "$registry/theirs:$new" --type slsaprovenance1 >"$work/said" || { cat "$work/said"; exit 1; }
    refuses "${verifies[@]}" --image "$registry/theirs:$new" --annotation env=test
    refuses "${verifies[@]}" --image "$registry/theirs:$new" --type slsaprovenance1 --builder-id https://example.org/other
    refuses "${verifies[@]}" --image "$registry/theirs:$new" --type cyclonedx
    refuses "$plimsoll" attest verify --key "$work/ours.pub" --image "$registry/theirs:$new" --type slsaprovenance1
done
# Somebody lays the signatures of one image beside another.
image copied
"$plimsoll" attest sign --quiet --image "oci:$work/layouts/copied" >/dev/null
"$cosign" load --dir "$work/layouts/copied" "$registry/theirs:copied" >/dev/null 2>&1
digest() { curl -sfI -H 'accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/theirs/manifests/$1" | tr -d '\r' | awk 'tolower($1) == "docker-content-digest:" { sub(":", "-", $2); print $2 }'; }
curl -sf -H 'accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/theirs/manifests/$(digest false).sig" >"$work/copied.sig"
curl -sf -X PUT -H 'content-type: application/vnd.oci.image.manifest.v1+json' --data-binary "@$work/copied.sig" "http://$registry/v2/theirs/manifests/$(digest copied).sig"
refuses "${verifies[@]}" --image "$registry/theirs:copied"
grep -q "it was copied from another image" "$work/said"
refuses "$cosign" verify --insecure-ignore-tlog --key "$work/cosign.pub" "$registry/theirs:copied"
echo "we verify the images that cosign signed, as tags and bundles, and refuse another key, builder, type, annotation or image"
