# Every target does what CI does. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULE  := github.com/sidecar-drift/sidecar-drift
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X $(MODULE)/internal/version.version=$(VERSION)
KUBECTL ?= kubectl
CONTAINER_TOOL ?= docker
IMAGE   := sidecar-drift/sidecar-drift
# Modules whose dependencies must not enter the product's.
MODULES := . tools tools/actionlint test/ui test/image test/release \
           test/build/kubernetes test/build/kwok test/build/istio test/build/dapr test/build/helm test/build/helm3 \
           test/build/goreleaser test/build/krew test/build/certmanager
# Modules that the product shares packages with. krew's of Kubernetes are too old for that.
ALIGNED := . test/ui test/image test/release $(addprefix test/build/,kubernetes kwok istio dapr helm helm3 goreleaser certmanager)
LINT    := go tool -modfile=tools/go.mod golangci-lint
BENCHES := admission-p50 audit audit-gentle detection handler preview rollout webhook-rss
# These take from minutes to an hour, by how many Pods the machine can create.
SCALE   := audit-replay audit-rss daemon-churn daemon-dry-runs daemon-rss
FUZZTIME ?= 10s

# What is compiled does not depend on where the checkout is, so that another one finds it in
# Go's cache.
export GOFLAGS := $(strip $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath)

# As the programs are built, so that what they are made of is compiled once. The race detector
# needs cgo.
export CGO_ENABLED := 0

# Compilers, linkers, the linter and tests collect their garbage seldom: a machine that tests has
# memory, and lacks processors. What measures memory runs as users run it.
test unit integration acceptance% test-% lint vulncheck generate tidy-check control-plane helm: export GOGC ?= 400

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build both programs into bin/.
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: install
install: ## Install the command, also as the kubectl plugin, into Go's bin directory.
	go install -ldflags '$(LDFLAGS)' ./cmd/sidecar-drift
	bin=$$(go env GOBIN); bin=$${bin:-$$(go env GOPATH)/bin}; \
	go run ./internal/cli/genrelease -date 1970-01-01T00:00:00Z bin/release; \
	install bin/release/unix/* "$$bin"; \
	echo "installed $$bin/sidecar-drift; with that directory on the PATH, 'kubectl sidecar-drift' works too"

.PHONY: control-plane
control-plane: # The test cluster's programs, built once and cached outside of the checkout.
	@go run ./test/build >/dev/null

.PHONY: helm
helm: # What makes and tests the chart, alike.
	@go run ./test/build -helm >/dev/null

.PHONY: demo
demo: $(if $(DEMO_KUBECONFIG),,demo-says control-plane) ## Show drift, its audit and its rollout on a real cluster; KEEP=1 leaves it up. DEMO_KUBECONFIG=FILE: on one of yours.
	@go run ./test/demo $(if $(DEMO_KUBECONFIG),-kubeconfig '$(DEMO_KUBECONFIG)') $(if $(KEEP),-keep)

.PHONY: demo-says
demo-says:
	@echo 'On a cluster of yours, make demo DEMO_KUBECONFIG=FILE builds nothing but the command.' >&2

.PHONY: demo-down
demo-down: ## Stop the cluster that `make demo KEEP=1` left up.
	@go run ./test/demo -down $(if $(DEMO_KUBECONFIG),-kubeconfig '$(DEMO_KUBECONFIG)')

# Tests that build the products run each time: Go's cache of results does not know what they build.
#
# What is run beside each other, as much of it waits: the longest first. Compilers and linkers
# give way to it: who waits for a slow cluster asks more of it. Programs of tests
# are linked without what debuggers need, which halves that, and by Go's own linker. The
# linter vets them.
JOBS      := --jobs 4 --keep-going --no-print-directory $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
GOTEST    := go test -vet=off -ldflags='-s -w'
GOVET     := go vet ./...
RACETEST  := CGO_ENABLED=1 go test -race -vet=off -ldflags='-s -w -linkmode=internal'
ON_ITSELF := acceptance-others acceptance-daemon acceptance-rollouts integration unit
WITH_MORE := test-release test-image test-monitoring test-ui docs-site

.PHONY: test
test: control-plane helm ## Run every test that needs nothing but Go, on a real cluster where one is needed. ALL=1: what needs more, too.
	@GOFLAGS="$(GOFLAGS) '-toolexec=nice -n 10'" $(MAKE) $(JOBS) $(ON_ITSELF) $(if $(ALL),$(WITH_MORE))

# What starts no goroutines, tests included, has nothing to race, and takes five times as
# long with the detector. What it guards for others' goroutines, they race. And with it
# memory is not what it is, and the programs of scripts, one a line, start slowly. The tests
# UNRACED repeat by the thousand what others race.
CONCURRENT = grep -rlE '^\s+go [a-z]|\.Go\(' --include=*.go auditor certs cmd internal webhook | \
	xargs -n1 dirname | sort -u | sed 's|^|$(MODULE)/|'
LARGE      := TestForgedReviews|TestStalledReviews|TestALargeReportIsKeptInPart|TestADriftStormIsKept|TestMemory[A-Za-z]*
NIGHTS     := TestOneNamespaceStopsNobodyElse|TestAutomaticRollout(ThatIsBlocked|InWindows|InWaves)|TestWavesThatDoNotGoOn|TestTheRiskOfAWave
UNRACED    := TestScripts|TestAllocations|TestFlood|TestLiveIsWhatCameLast|FuzzChangesOfTheAuthority|$(LARGE)|$(NIGHTS)
THEIRS      = grep -rlE '^func ($(UNRACED))\(' --include=*_test.go auditor certs cmd internal webhook | \
	xargs -n1 dirname | sort -u | sed 's|^|$(MODULE)/|' | grep -xF "$$($(CONCURRENT))"

.PHONY: unit
unit: ## Run the tests that need no cluster, with the race detector where there is something to race.
	$(RACETEST) -skip '^($(UNRACED))$$' $$($(CONCURRENT))
	$(GOTEST) $$(go list ./... | grep -v /test/ | grep -vxF "$$($(CONCURRENT))")
	$(GOTEST) -run '^($(UNRACED))$$' $$($(THEIRS))

.PHONY: integration
integration: control-plane helm # All other tests that need nothing but Go.
	$(GOTEST) -count=1 -timeout 60m $$(go list ./test/... | grep -v /test/acceptance)

.PHONY: acceptance
acceptance: ## Run the acceptance tests on a real cluster.
	@$(MAKE) $(JOBS) acceptance-others acceptance-daemon acceptance-rollouts

# Three clusters: on each, tests run one after the other that cannot share it. The daemon's
# wait most of the time.
DAEMON := ^Test(Serve|ATenant|Newborns|CausesAreNamed)

.PHONY: acceptance-rollouts
acceptance-rollouts: control-plane
	$(GOTEST) -count=1 -timeout 60m -parallel 12 ./test/acceptance -run '^TestRollout'

.PHONY: acceptance-others
acceptance-others: control-plane
	$(GOTEST) -count=1 -timeout 60m -parallel 12 ./test/acceptance -skip '^TestRollout|$(DAEMON)'

.PHONY: acceptance-daemon
acceptance-daemon: control-plane
	$(GOTEST) -count=1 -timeout 60m -parallel 12 ./test/acceptance -run '$(DAEMON)'

.PHONY: test-ui
test-ui: control-plane ## Test the HTML page, and the daemon's on a real cluster, in Chromium. Needs Node.js.
	cd test/ui && $(GOVET) && $(GOTEST) -count=1 -timeout 10m ./...

.PHONY: test-monitoring
test-monitoring: control-plane ## Run dashboards and alerts against a real Prometheus, and draw the dashboard.
	$(GOTEST) -count=1 -timeout 20m -tags monitoring ./test/monitoring/...

.PHONY: test-image
test-image: ## Build the image without an engine and, from the Dockerfile, by buildah; push, pull and run it.
	cd test/image && $(GOVET) && $(GOTEST) -count=1 -timeout 60m ./...

.PHONY: test-release
test-release: control-plane ## Make a release's files; unpack, run and install them. FULL=1: for all platforms, twice.
	cd test/release && $(GOVET) && $(GOTEST) -count=1 -timeout 60m . $(if $(FULL),-full)

.PHONY: bench
bench: $(addprefix bench-,$(BENCHES)) ## Run every benchmark; bench-NAME runs one. DURATION=30s shortens webhook-rss.

.PHONY: bench-scale
bench-scale: $(addprefix bench-,$(SCALE)) ## Measure at 20,000 Pods (PODS=5000: fewer), into docs/performance/scale.csv.

.PHONY: bench-script
bench-script: ## Compare a rollout with the original script's; SCRIPT=FILE names that: it is not part of this repository.
	@go run ./test/bench -script '$(SCRIPT)' script

bench-%:
	@go run ./test/bench $(if $(DURATION),-duration $(DURATION)) $(if $(PODS),-pods $(PODS)) -csv docs/performance/scale.csv $*

.PHONY: chaos
chaos: control-plane ## Break the stamper, the auditor and rollouts in every way known, into docs/reliability.md.
	go test -count=1 -timeout 30m ./test/chaos -full -reliability $(CURDIR)/docs/reliability.md
	go test -count=1 -timeout 10m -tags chaos ./test/chaos/upgrade
	go test -count=1 -timeout 60m -parallel 8 -tags chaos ./test/acceptance -full \
	  -run 'ManyDeployments|Killed|Interrupted|Faults|APIServerRestarts|LosesARace|Deleted|LoseASidecar|BreakingChange|IllCanary|Deadlocks|APIServerIsAway|ComeAndGo|ComesAndGoes|SlowInjector|ThousandRefusals|PriorityAndFairness|ChangesOfTheAuthority|KilledWhile|ConvergeOnce|TestServe$$|Tenant|ManyConnections|MalformedReviews|OrderOfAMap'

.PHONY: matrix
matrix: control-plane ## Measure false alarms and misses on a real cluster, into docs/accuracy.md.
	go test -count=1 -timeout 40m ./test/matrix -full -accuracy $(CURDIR)/docs/accuracy.md

.PHONY: preview-proof
preview-proof: control-plane ## Preview changes of injectors for 260 workloads of all owners, make them, and compare place by place.
	$(GOTEST) -count=1 -timeout 40m -v ./test/acceptance -run '^TestPreview' -full

.PHONY: causes
causes: control-plane ## Measure how often the cause of a change is named rightly, into docs/changes.md.
	go test -count=1 -timeout 40m ./test/causes -full -publish $(CURDIR)/docs/changes.md

.PHONY: month
month: control-plane ## Compare restarting by drift with other ways, over three months of changes, into docs/performance.md.
	go test -count=1 -timeout 90m ./test/bench/month -full -performance $(CURDIR)/docs/performance.md

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s, or a number of inputs: 1000x) each.
	@go run ./test/fuzz -time $(FUZZTIME)

.PHONY: lint
lint: ## Check formatting, vet and lint; the workflows, too.
	$(LINT) run --allow-parallel-runners ./...
	go tool -modfile=tools/actionlint/go.mod actionlint

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities that the programs reach; GOVULNDB names another database.
	go tool -modfile=tools/go.mod govulncheck ./cmd/...

.PHONY: fmt
fmt: ## Format the code.
	$(LINT) fmt ./...

.PHONY: generate
generate: ## Refresh generated files.
	go generate ./...

.PHONY: docs-site
docs-site: ## Make docs/ a site, with search, in bin/docs-site/; DOCS_VERSION and DOCS_BASE (/v0.1/) are a release's. Needs Node.js.
	rm -rf bin/docs-build bin/docs-site && mkdir -p bin/docs-build
	git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C bin/docs-build
	node --test docs/site/*.test.mjs
	cp docs/site/package*.json bin/docs-build/
	cd bin/docs-build && npm ci --no-audit --no-fund --ignore-scripts && DOCS_OUT='$(CURDIR)/bin/docs-site' npx vitepress build docs/site
	rm -rf bin/docs-build

.PHONY: chart
chart: ## Make the manifests of the chart, check it, and package it into bin/.
	@go run ./test/chart/generate manifests bin

.PHONY: tidy-check
tidy-check: # Every module's go.mod and go.sum are complete and hold nothing more.
	for module in $(MODULES); do (cd $$module && go mod tidy -diff); done

.PHONY: align
align: ## Have all modules use the same versions of what they share, which is compiled once then.
	go run ./test/build/align $(ALIGNED)

.PHONY: image
image: ## Build the container image; IMG names it, CONTAINER_TOOL builds it (docker).
	$(CONTAINER_TOOL) build --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) -t $(or $(IMG),$(IMAGE):$(VERSION)) .

.PHONY: image-oci
image-oci: ## Write the image for all platforms to bin/image, an OCI layout, without a container engine.
	go run -C test/image ./oci -root $(CURDIR) -version $(VERSION) $(CURDIR)/bin/image

.PHONY: release-snapshot
release-snapshot: ## Make the release's archives, packages and manifests into bin/dist; nothing is published.
	@programs=$$(go run ./test/build -release); \
	PATH="$$(tr '\n' ':' <<<"$$programs")$$PATH" goreleaser release --snapshot --clean --skip=sign

# The fence stands before anything is bound to what it fences.
POLICIES := -f manifests/base/dry-run-only-policy.yaml -f manifests/base/rollout-only-policy.yaml

.PHONY: deploy
deploy: ## Install into the cluster of KUBECONFIG; IMG=REF names an image that it can pull.
	@if [ -z '$(IMG)' ]; then \
	  echo 'make deploy needs an image that the cluster can pull:'; \
	  echo '  make image IMG=REF   builds one; then push it, or load it (kind load docker-image REF)'; \
	  echo '  make deploy IMG=REF  installs it'; \
	  exit 2; \
	fi >&2
	$(KUBECTL) apply --server-side $(POLICIES)
	$(KUBECTL) kustomize manifests | sed 's#image: $(IMAGE).*#image: $(IMG)#' | $(KUBECTL) apply --server-side -f -
	$(KUBECTL) -n sidecar-drift rollout status deployment/sidecar-drift-webhook --timeout 120s

# Roles before the policies that fence them. What other overlays and components
# add has the same label, and what audits wrote goes with the namespace, or is owned
# by the webhook configuration.
OURS := --ignore-not-found -l app.kubernetes.io/part-of=sidecar-drift

.PHONY: undeploy
undeploy: ## Remove everything from the cluster of KUBECONFIG, the webhook configuration first.
	$(KUBECTL) delete --ignore-not-found mutatingwebhookconfiguration zz-sidecar-drift
	$(KUBECTL) delete $(OURS) clusterrolebindings,clusterroles
	$(KUBECTL) delete $(OURS) -n kube-system rolebindings,roles
	$(KUBECTL) delete --ignore-not-found namespace sidecar-drift
	$(KUBECTL) delete $(OURS) validatingadmissionpolicybindings,validatingadmissionpolicies
	$(KUBECTL) delete $(OURS) flowschemas,prioritylevelconfigurations
