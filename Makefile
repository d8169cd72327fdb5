# make demo   set up, build, and show the main job on real data
# make test   set up, build, and run every test
.PHONY: setup build test demo fuzz bench format tidy clean
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
	@build/release/bin/holdfast bench engine --quick

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

clean:
	@rm -rf build
