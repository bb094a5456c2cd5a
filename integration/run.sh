#!/usr/bin/env bash
# Runs every check of the project, or only the steps named:
#
#   bash integration/run.sh
#   bash integration/run.sh lint unit
#
# or a part of one step, with packages and flags for go test:
#
#   bash integration/run.sh unit ./llmroute -run TestX
#   bash integration/run.sh integration ./integration/sidecar
#
# All steps run even when one fails; the exit code is 1 if any did. A step
# whose tool is missing (node, a C compiler for the race detector) is skipped
# on a developer's machine and fails where CI is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

GOLANGCI_VERSION=v2.15.0
XCADDY_VERSION=v0.4.6
FUZZ_TIME=${FUZZ_TIME:-3000x}

# Cheap ones first; clean is last because it looks at what the others left.
ALL_STEPS=(fmt generate mod vet lint unit integration kubernetes modules node xcaddy release fuzz clean)

SKIPPED=77 # exit code of a skipped step, as in automake

usage() {
  cat <<'TXT'
usage: bash integration/run.sh [STEP...]
       bash integration/run.sh STEP PACKAGE... [FLAG...]
       bash integration/run.sh STEP FLAG...

The last two run a part of unit, integration, kubernetes or modules, with
packages and flags for go test (modules: folders instead of packages):

  bash integration/run.sh unit ./llmroute -run TestX
  bash integration/run.sh integration ./integration/sidecar
  bash integration/run.sh modules ./integration/page -v

Steps, in the order in which they run without any arguments:

  fmt      gofmt would change nothing
  generate the CustomResourceDefinitions and deepcopy functions are what the Go
           types make
  mod      go.mod and go.sum are tidy, downloaded modules are what go.sum says
  vet      go vet
  lint     golangci-lint, built on first use
  unit     tests of the gateway's packages, with the race detector
  integration  tests of the built gateway, one folder after another
  kubernetes   tests on a real API server, built on first use (5 to 15 minutes)
  modules  vet and tests of the modules in folders below (SDKs, Helm chart)
  node     npm test in each folder of integration/ with a package.json
  xcaddy   a Caddy built by xcaddy has the same modules as cmd/caddy
  release  .ci/release makes the same bytes twice of the last commit for one platform,
           and the types are right on the other platforms
  fuzz     each fuzz test for $FUZZ_TIME (default 3000x: 3,000 inputs)
  clean    the steps changed nothing in the work tree
TXT
}

skip() {
  echo "skipped: $*"
  exit "$SKIPPED"
}

# need COMMAND: skips the step if the command is missing; in CI it fails.
need() {
  command -v "$1" >/dev/null && return
  [[ -z ${CI:-} ]] || { echo "$1 not found"; exit 1; }
  skip "$1 not found"
}

# files PATTERN: files of that name below the root, ours only.
files() {
  find . \( -name node_modules -o -name .git \) -prune -o -type f -name "$1" -print | sort
}

# nested_modules: folders below the root that are Go modules of their own.
nested_modules() {
  files go.mod | sed -n 's|^\(\./..*\)/go\.mod$|\1|p'
}

# each DIRS COMMAND...: runs the command in each folder (one a line) and fails
# at the end if it failed in any.
each() {
  local dirs=$1 dir failed=0
  shift
  for dir in $dirs; do
    echo "--- $dir: $*"
    (cd "$dir" && "$@") || failed=1
  done
  return "$failed"
}

# golangci_lint: prints the path of the linter, built once for each version of
# it and of Go (one built with an older Go refuses newer code).
golangci_lint() {
  local dir
  dir="${XDG_CACHE_HOME:-$HOME/.cache}/llm-gateway/golangci-lint-$GOLANGCI_VERSION-$(go env GOVERSION)"
  if [[ ! -x $dir/golangci-lint ]]; then
    echo "building golangci-lint $GOLANGCI_VERSION" >&2
    GOBIN=$dir go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$GOLANGCI_VERSION" >&2 || return
  fi
  echo "$dir/golangci-lint"
}

# tree_state: changes whenever a tracked file does or an untracked one appears;
# empty outside a git checkout.
tree_state() {
  git rev-parse --is-inside-work-tree >/dev/null 2>&1 || return 0
  git status --porcelain
  git diff | git hash-object --stdin
}

step_fmt() {
  local unformatted
  unformatted=$(files '*.go' | xargs -r gofmt -l)
  [[ -z $unformatted ]] || { printf 'gofmt -w these:\n%s\n' "$unformatted"; return 1; }
}

step_generate() {
  local stale=0 file
  go run -C k8ssource/crdgen . "$tmp/crds" "$tmp/api"
  diff -r examples/kubernetes/crds "$tmp/crds" || stale=1
  for file in k8ssource/api/*/zz_generated.deepcopy.go; do
    diff "$file" "$tmp/${file#k8ssource/}" || stale=1
  done
  [[ $stale -eq 0 ]] || { echo "run this and commit what changes: go generate ./k8ssource"; return 1; }
}

step_mod() {
  each ". $(nested_modules)" go mod tidy -diff
  go mod verify
}

# The tests run without it (-vet=off), which would look at all dependencies once more.
step_vet() {
  go vet ./...
}

step_lint() {
  local linter
  linter=$(golangci_lint)
  "$linter" config verify
  each ". $(nested_modules)" "$linter" run --allow-parallel-runners ./...
}

# packages PATTERN: packages of this module whose path matches.
packages() {
  go list ./... | grep -E "$1"
}

step_unit() {
  local race=-race
  [[ -z ${CI:-} ]] || export CGO_ENABLED=1 # as the race detector needs
  if ! command -v "$(go env CC)" >/dev/null; then
    [[ -z ${CI:-} ]] || { echo "the race detector needs a C compiler"; return 1; }
    echo "no C compiler: testing without the race detector"
    race=
  fi
  [[ ${#folders[@]} -gt 0 ]] || mapfile -t folders < <(packages '' | grep -v /integration)
  go test $race -vet=off -count=1 -timeout 30m "${folders[@]}" "${flags[@]}"
}

# built: builds the gateway once for all tests that start it.
built() {
  [[ -z ${LLM_TEST_BINARY:-} ]] || return 0
  [[ -x $tmp/caddy ]] || go build -o "$tmp/caddy" ./cmd/caddy
  export LLM_TEST_BINARY=$tmp/caddy
}

# -count=1: these depend on a binary that Go's test cache does not see. -p=1:
# they load the machine, and measure.
step_integration() {
  built
  if [[ ${#folders[@]} -gt 0 ]]; then
    go test -vet=off -count=1 -p=1 -timeout 30m "${folders[@]}" "${flags[@]}"
    return
  fi
  # shellcheck disable=SC2046
  go test -vet=off -count=1 -p=1 -timeout 30m $(packages /integration | grep -v /integration/kubernetes) "${flags[@]}"
  # The benchmark still works, and gets the responses it should.
  go run ./integration/bench -quick -binary "$LLM_TEST_BINARY" -cases 'c16|c64'
  # Stores are Valkey servers, too.
  REDIS_SERVER=valkey-server go test -vet=off -count=1 -p=1 -timeout 30m -run 'Redis|Script|^TestStore$|Purges|Shared|StoppedGivesBack' \
    ./llmroute/limit ./llmroute/cache/redisstore ./integration/limits ./integration/cache "${flags[@]}"
  # Sidecars are built smaller, too, without the Kubernetes source and the clouds' SDKs.
  go build -o "$tmp/sidecar" ./cmd/caddy/sidecar
  LLM_TEST_BINARY=$tmp/sidecar go test -vet=off -count=1 -timeout 30m -skip '^TestFromTheCluster$|^TestMediaByURL$/^bedrock$' ./integration/sidecar "${flags[@]}"
}

# The first test builds kube-apiserver, etcd and kubectl into the user's cache.
step_kubernetes() {
  local started=$SECONDS
  go test -vet=off -count=1 -timeout 50m -run '^TestPrograms$' ./integration/kubernetes/cluster
  echo "kube-apiserver, etcd and kubectl were there after $((SECONDS - started))s"
  built
  [[ ${#folders[@]} -gt 0 ]] || mapfile -t folders < <(packages /integration/kubernetes)
  go test -vet=off -count=1 -p=1 -timeout 30m "${folders[@]}" "${flags[@]}"
}

step_modules() {
  local dirs
  dirs=$(nested_modules)
  [[ -n $dirs ]] || skip "no modules below the root"
  [[ ${#folders[@]} -eq 0 ]] || dirs=${folders[*]}
  built
  each "$dirs" bash -c 'go vet ./... && go test -vet=off -count=1 -timeout 20m ./... "$@"' go-test "${flags[@]}"
}

step_node() {
  local dirs
  # What is in agents is installed by tests in Go.
  dirs=$(files package.json | sed -n 's|^\(\./integration/.*\)/package\.json$|\1|p' | grep -v /agents/)
  [[ -n $dirs ]] || skip "no package.json in integration"
  need node
  need npm
  built
  each "$dirs" bash -c 'npm ci --ignore-scripts --no-audit --no-fund && npm test'
}

# build_xcaddy DIR: builds DIR/xcaddy, in a module of its own: "go run PACKAGE@VERSION"
# would also ask for the list of all versions, which not every module proxy has.
build_xcaddy() {
  mkdir "$1"
  go -C "$1" mod init xcaddy
  go -C "$1" mod edit -require "github.com/caddyserver/xcaddy@$XCADDY_VERSION"
  go -C "$1" build -mod=mod -o xcaddy github.com/caddyserver/xcaddy/cmd/xcaddy
}

step_xcaddy() {
  local caddy
  caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
  go build -o "$tmp/ours" ./cmd/caddy
  "$tmp/ours" list-modules --skip-standard >"$tmp/ours.txt"
  build_xcaddy "$tmp/xcaddy"
  (cd "$tmp" && xcaddy/xcaddy build "$caddy" --with "github.com/caddy-llm/gateway@v0.0.0=$root" --output "$tmp/theirs")
  "$tmp/theirs" list-modules --skip-standard >"$tmp/theirs.txt"
  cat "$tmp/theirs.txt"
  grep -qx llm "$tmp/theirs.txt" || { echo "the app llm is not in it"; return 1; }
  diff "$tmp/ours.txt" "$tmp/theirs.txt" || { echo "cmd/caddy (<) and xcaddy (>) differ"; return 1; }
}

# The second of the two releases takes what it can from Go's build cache, and links anew.
# The other platforms are type-checked alone: to compile for one of them takes five minutes
# of processor time.
step_release() {
  [[ -n $(git rev-parse HEAD 2>/dev/null) ]] || skip "not a git checkout"
  PLATFORMS=linux/amd64 .ci/release HEAD "$tmp/release" || return 1
  (cd / && PLATFORMS=linux/amd64 TMPDIR=$tmp TZ=Asia/Tokyo "$root/.ci/release" HEAD "$tmp/release-again") || return 1
  diff -r "$tmp/release" "$tmp/release-again" || { echo "the same commit gave other bytes"; return 1; }
  go run ./integration/platforms linux/arm64,darwin/amd64,darwin/arm64,windows/amd64 ./cmd/...
}

# A number of inputs and not a time: at the end of a time, go test sometimes
# fails with "context deadline exceeded" (https://go.dev/issue/75804). The tests of a
# folder are linked once.
step_fuzz() {
  local found folder file name failed=0
  found=$(files '*_test.go' | xargs -r grep -oE '^func Fuzz[A-Za-z0-9_]+' /dev/null || true)
  [[ -n $found ]] || skip "no fuzz tests"
  for folder in $(cut -d: -f1 <<<"$found" | xargs -n1 dirname | sort -u); do
    go -C "$folder" test -c -fuzz . -o "$tmp/fuzz.test" . || { failed=1; continue; }
    while IFS=: read -r file name; do
      [[ $(dirname "$file") == "$folder" ]] || continue
      name=${name#func }
      echo "--- $file $name"
      (cd "$folder" && "$tmp/fuzz.test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$FUZZ_TIME" \
        -test.fuzzminimizetime 100x -test.fuzzcachedir "$(go env GOCACHE)/fuzz/$folder") </dev/null || failed=1
    done <<<"$found"
  done
  return "$failed"
}

step_clean() {
  [[ -n $tree_before ]] || skip "not a git checkout"
  diff <(echo "$tree_before") <(tree_state) || { echo "the work tree changed meanwhile"; return 1; }
}

# run_step NAME: runs a step with its output shown and kept in a log. It must
# not be called in a condition, where set -e would not hold inside the step.
run_step() {
  local name=$1 code result started=$SECONDS
  printf '\n=== %s\n' "$name"
  set +e
  (set -e; "step_$name") 2>&1 </dev/null | tee "$tmp/$name.log"
  code=${PIPESTATUS[0]}
  set -e
  case $code in
    0) result=passed passed=$((passed + 1)) ;;
    "$SKIPPED") result=skipped skipped=$((skipped + 1)) ;;
    *) result=failed failed=$((failed + 1)) failures+=" $name" ;;
  esac
  printf -v table '%s%-10s %-8s %8d\n' "$table" "$name" "$result" $((SECONDS - started))
  printf '=== %s %s in %ss\n' "$name" "$result" $((SECONDS - started))
}

# summary: what matters of each failed step's output, a table, the count.
summary() {
  local name
  for name in $failures; do
    printf '\n=== %s failed; what it said:\n' "$name"
    grep -E '^ *--- FAIL|^FAIL.|^panic:|DATA RACE|\.go:[0-9]+:' "$tmp/$name.log" >"$tmp/telling" ||
      tail -n 20 "$tmp/$name.log" >"$tmp/telling"
    head -n 40 "$tmp/telling"
  done
  printf '\n%-10s %-8s %8s\n%s%-10s %-8s %8d\n\n' step result seconds "$table" total '' "$SECONDS"
  echo "steps: $passed passed, $failed failed, $skipped skipped"
}

# Steps come first. What begins with ./ is a folder; from the first other thing
# that begins with - on, all are flags.
steps=() folders=() flags=()
for arg in "$@"; do
  case $arg in
    -h | --help) usage; exit ;;
  esac
  if [[ ${#flags[@]} -gt 0 || $arg == -* ]]; then
    flags+=("$arg")
    continue
  elif [[ $arg == ./* ]]; then
    folders+=("$arg")
    continue
  fi
  [[ " ${ALL_STEPS[*]} " == *" $arg "* ]] || { echo "unknown step: $arg" >&2; usage >&2; exit 2; }
  steps+=("$arg")
done
if [[ $((${#folders[@]} + ${#flags[@]})) -gt 0 && (${#steps[@]} -ne 1 || " unit integration kubernetes modules " != *" ${steps[*]} "*) ]]; then
  echo "packages and flags go with one step: unit, integration, kubernetes or modules" >&2
  usage >&2
  exit 2
fi
[[ ${#steps[@]} -gt 0 ]] || steps=("${ALL_STEPS[@]}")
# On a machine with nothing in Go's build cache, most of the time goes into compiling: all
# steps but unit do it as .ci/release does, and so share what is compiled.
[[ -z ${CI:-} ]] || export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
export LLM_INTEGRATION=1 # the tests in folders below integration are not skipped

passed=0 failed=0 skipped=0 failures='' table=''
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tree_before=$(tree_state)

for step in "${steps[@]}"; do
  run_step "$step"
done
summary
[[ $failed -eq 0 ]]
