# make demo   set up, build, and show the main job on real data
# make test   set up, build, and run every test
# make arch   the architecture tests alone; make tidy, make format before a change goes out
# make docs   the generated pages: docs/modules.md, docs/protocol.md, docs/not-yet.md, docs/status.md
.PHONY: setup build test demo fuzz bench format format-check tidy arch docs clean
JOBS ?= $(shell nproc)

build: setup
	@cmake --preset release >/dev/null
	@ninja -C build/release -j $(JOBS)

setup:
	@scripts/setup

test: build
	@ninja -C build/release -j $(JOBS) hf_linktests all_verify_interface_header_sets
	@ctest --test-dir build/release --output-on-failure -j $(JOBS) $(CTEST_ARGS)

demo: build
	@scripts/demo

fuzz: setup
	@scripts/fuzz $(FUZZ_SECONDS)

bench: build
	@build/release/bin/holdfast bench engine --quick --peers
	@build/release/bin/holdfast bench server --quick --peers

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

format-check:
	@scripts/format-check

tidy: build
	@scripts/tidy $(TIDY_SINCE)

arch: build
	@ctest --test-dir build/release --output-on-failure -j $(JOBS) -L arch

docs: build
	@scripts/modules
	@scripts/protocol
	@tests/arch/list_not_yet.py --write
	@scripts/status

clean:
	@rm -rf build
