.PHONY: check test lint chaos docs bench lock
check: ; scripts/test
test: ; scripts/test tests
lint: ; scripts/test lint types
chaos: ; scripts/test chaos
docs: ; scripts/test docs
bench: ; scripts/install && .venv/bin/python benchmarks/run.py --all
lock: ; scripts/lock
