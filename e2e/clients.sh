#!/usr/bin/env bash
# The real @actions/artifact, cache, core and glob from npm, unmodified, against the service that a job gives its actions; and jose,
# which verifies what that says of the job.
# PLIMSOLL names another binary than target/release/plimsoll.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# CLIENTS names a folder where they are installed already.
clients=${CLIENTS:-$work/clients}
mkdir -p "$clients" && cp "$root/e2e/clients/package.json" "$clients/package.json"
(cd "$clients" && npm install --silent --no-audit --no-fund > "$work/npm.out" 2>&1) || { cat "$work/npm.out"; exit 8; }

mkdir -p "$work/app/.github/workflows" "$work/app/.github/actions/client" "$work/app/src/skip" && cd "$work/app"
cp "$root/e2e/clients/index.mjs" .github/actions/client/
echo a > src/a.txt && echo b > src/skip/b.txt
cat > .github/actions/client/action.yml <<'YAML'
name: Client
inputs: {do: {required: true}}
outputs: {id: {}, hash: {}}
runs: {using: node20, main: index.mjs}
YAML
cat > .github/workflows/ci.yml <<'YAML'
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    outputs: {id: "${{ steps.up.outputs.id }}"}
    steps:
      - uses: actions/checkout@v4
      - run: ln -s "$CLIENTS/node_modules" node_modules
      - {id: up, uses: ./.github/actions/client, with: {do: upload}}
      - run: mkdir b && echo three > b/c.txt
      - uses: actions/upload-artifact@v4
        with: {name: builtin, path: b}
      - {uses: ./.github/actions/client, with: {do: save}}
      - id: rest
        uses: ./.github/actions/client
        with: {do: rest}
      - run: |
          [ "$FROM_CORE" = $'exported\nin two lines' ] && [[ "$PATH" == /from/core:* ]]
          [ "${{ steps.rest.outputs.hash }}" = "${{ hashFiles('src/*.txt') }}" ] && echo "the same hash"
          [ -z "${ACTIONS_RUNTIME_TOKEN:-}" ] && echo "no token for scripts"
  two:
    needs: one
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: ln -s "$CLIENTS/node_modules" node_modules
      - {uses: actions/download-artifact@v4, with: {name: result, path: native}}
      - run: test "$(cat native/a.txt)" = one && echo "the built-in action reads what the client uploaded"
      - {uses: ./.github/actions/client, with: {do: download}}
      - {uses: ./.github/actions/client, with: {do: restore}}
  three:
    runs-on: ubuntu-latest
    permissions: {contents: read, id-token: write}
    steps:
      - uses: actions/checkout@v4
      - run: ln -s "$CLIENTS/node_modules" node_modules
      - {uses: ./.github/actions/client, with: {do: identity}}
YAML
# The same from within a container: this machine's own programs on an empty image.
image=localhost/plimsoll-e2e-clients
export PLIMSOLL_CONTAINER_ENGINE=${PLIMSOLL_CONTAINER_ENGINE:-podman --runtime runc --cgroup-manager cgroupfs}
mkdir -p "$work/image/bin" "$work/image/tmp" && cp "$(command -v busybox)" "$work/image/bin/busybox"
for name in sh ln tail env cat; do ln -s busybox "$work/image/bin/$name"; done
printf 'FROM scratch\nCOPY . /\nENV PATH=/usr/bin:/bin\n' > "$work/Containerfile"
$PLIMSOLL_CONTAINER_ENGINE build --quiet --tag "$image" --file "$work/Containerfile" "$work/image" > "$work/build.out" 2>&1 || { cat "$work/build.out"; exit 8; }
cat > .github/workflows/contained.yml <<YAML
on: push
jobs:
  four:
    runs-on: ubuntu-latest
    permissions: {contents: read, id-token: write}
    container:
      image: $image
      env: {ISSUED: $work/issued}
      volumes: ['/usr:/usr:ro', '/lib:/lib:ro', '/lib64:/lib64:ro', '$clients:$clients', '$work/issued:$work/issued']
    steps:
      - uses: actions/checkout@v4
      - run: ln -s "$clients/node_modules" node_modules
      - {uses: ./.github/actions/client, with: {do: upload}}
      - {uses: ./.github/actions/client, with: {do: restore}}
      - {uses: ./.github/actions/client, with: {do: identity}}
YAML
git init --quiet --initial-branch main && git add --all && git commit --quiet --message "Clients"

code=0
"$plimsoll" identity issuer https://ci.example.org > "$work/issuer.out" 2>&1
"$plimsoll" identity publish "$work/issued" > "$work/issued.out" 2>&1
"$plimsoll" run --identity --env "CLIENTS=$clients" --env "ISSUED=$work/issued" > "$work/run.out" 2>&1 || code=$?
ok "the workflows succeed" is "$code" 0 || sed 's/^/       | /' "$work/run.out"
for what in "a name is taken once" "both artifacts are listed" "the files are what was uploaded" "what the built-in action uploaded is there too" \
    "one that is deleted is gone" "the cache is saved" "the exact key is found" "the files are back" "a prefix is found" \
    "other paths are another cache" "it is saved once" "the globber finds files" "the token is the issuer's and says who the job is" \
    "the key is known by its thumbprint" "a token of somebody else is none"; do
    ok "$what" says "$work/run.out" "checked: $what"
done
for what in "the artifact has an id and a digest" "the files are back" "the token is the issuer's and says who the job is"; do
    ok "in a container: $what" is "$(grep -c "checked: $what" "$work/run.out")" 2
done
ok "the built-in action reads what the client uploaded" says "$work/run.out" "the built-in action reads what the client uploaded"
ok "hashFiles is what the globber computes" says "$work/run.out" "the same hash"
ok "scripts have no token" says "$work/run.out" "no token for scripts"
ok "the secret is masked" says "$work/run.out" "this is \*\*\*"
ok "the token is masked" says "$work/run.out" "the token is \*\*\*"
ok "the identity is masked" says "$work/run.out" "the id token is \*\*\*"

$PLIMSOLL_CONTAINER_ENGINE rmi --force "$image" > "$work/rmi.out" 2>&1 || true
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
